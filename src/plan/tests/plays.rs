//! Runs each `src/plan/plays/*.play`, and compares what happens with its log. `UPDATE=1` updates the log instead.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::plan::simulation::World;
use crate::wait;

/// The end of the last line of a log if what follows is not compared.
const CUT: &str = " ...";

/// One world and what happens in it: a play, or one of its variants after `but`.
#[derive(Default)]
struct Scene {
    /// The title, comments, and the world.
    lines: Vec<String>,
    log: Vec<String>,
}

/// The scenes of a file, each with the index of the first scene of its play.
fn scenes(text: &str) -> Vec<(usize, Scene)> {
    let mut scenes = vec![(0, Scene::default())];
    for line in text.lines() {
        let (play, count) = (scenes[scenes.len() - 1].0, scenes.len());
        if line.starts_with("== ") {
            scenes.push((count, Scene::default()));
        } else if line == "but" || line.starts_with("but ") {
            scenes.push((play, Scene::default()));
        }
        let (_, scene) = scenes.last_mut().unwrap();
        if line.starts_with(' ') {
            scene.log.push(line.to_owned());
        } else {
            assert!(line.is_empty() || scene.log.is_empty(), "{line:?} stands behind a log");
            scene.lines.push(line.to_owned());
        }
    }
    scenes
}

/// The world of a scene, once for each combination of what its `each` lines list.
fn worlds(lines: &[&str]) -> Vec<String> {
    let mut each = BTreeMap::new();
    let mut world = String::new();
    for line in lines.iter().filter(|line| !line.starts_with("==")) {
        let line = line.strip_prefix("but").unwrap_or(line).trim_start();
        if let Some((name, values)) = line.strip_prefix("each ").and_then(|each| each.split_once(": ")) {
            each.insert(format!("${name}"), values);
        } else {
            world += &format!("{line}\n");
        }
    }
    // One name may be a prefix of another, so longer names go first.
    each.iter().rev().fold(vec![world], |worlds, (name, values)| {
        let with_each = |world: String| values.split(" | ").map(move |value| world.replace(name, value));
        worlds.into_iter().flat_map(with_each).collect()
    })
}

/// Runs one world, and returns its log in the format of a play. If the simulation panics, prints the world.
fn played(world: &str) -> Vec<String> {
    struct Named<'a>(&'a str);
    impl Drop for Named<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("in the world\n{}", self.0);
            }
        }
    }
    let _named = Named(world);
    let shows = |what: &str| world.lines().any(|line| line == format!("show {what}"));
    let mut present = World::read(world);
    for _ in world.lines().filter(|line| *line == "again") {
        let mut earlier = World::read(&world.replace("\nbefore ", "\n"));
        earlier.history = present.history.clone();
        let limits = earlier.settings.limits.clone();
        let report = earlier.play().report().clone();
        present.history.learn(&report.attempts, report.elapsed, &limits, wait::now());
    }
    let played = present.play();
    let mut lines = played.lines();
    lines.retain(|line| shows("questions") || !line.contains("  ask "));
    if shows("report") {
        lines.extend(played.report().to_string().lines().map(|line| format!("{:12}{line}", "")));
    }
    lines
}

/// The difference of two texts, with marks at the lines that are in only one of them.
fn difference(expected: &[String], found: &[String]) -> String {
    let same = |(one, other): &(&String, &String)| one == other;
    let before = expected.iter().zip(found).take_while(same).count();
    let (expected_rest, found_rest) = (&expected[before..], &found[before..]);
    let after = expected_rest.iter().rev().zip(found_rest.iter().rev()).take_while(same).count();
    let marked = |mark: &'static str, lines: &[String]| -> Vec<String> {
        lines.iter().map(|line| format!("{mark}{line}")).collect()
    };
    let parts = [
        marked(" ", &expected[..before]),
        marked("-", &expected_rest[..expected_rest.len() - after]),
        marked("+", &found_rest[..found_rest.len() - after]),
        marked(" ", &expected_rest[expected_rest.len() - after..]),
    ];
    parts.concat().join("\n")
}

/// Runs all plays of a file. Returns what is wrong with it, and the correct text.
fn check(text: &str) -> (Vec<String>, String) {
    let mut scenes = scenes(text);
    let mut wrong = Vec::new();
    for index in 0..scenes.len() {
        let (play, scene) = &scenes[index];
        let (first, own) = (&scenes[*play].1.lines, &scene.lines);
        // The text before the first title is about the file.
        let Some(title) = first.first().and_then(|line| line.strip_prefix("== ")) else { continue };
        if *play == index && !first.iter().any(|line| line.starts_with("# rule ")) {
            wrong.push(format!("{title}: names no rule"));
        }
        let inherited = if *play == index { &[][..] } else { first };
        let lines: Vec<&str> = inherited.iter().chain(own).map(String::as_str).collect();
        let is_cut = scene.log.last().is_some_and(|line| line.ends_with(CUT));
        let mut expected = scene.log.clone();
        for (number, world) in worlds(&lines).iter().enumerate() {
            let mut found = played(world);
            if is_cut && found.len() >= scene.log.len() {
                found.truncate(scene.log.len());
                let last = found.pop().map(|last| last + CUT);
                found.extend(last);
            }
            if found != expected {
                let difference = difference(&expected, &found);
                wrong.push(format!("{title}\n{}\n{difference}", world.trim()));
            }
            if number == 0 {
                expected = found;
            }
        }
        scenes[index].1.log = expected;
    }
    let lines = scenes.into_iter().flat_map(|(_, scene)| {
        let blank = scene.lines.iter().rev().take_while(|line| line.is_empty()).count();
        let (lines, blank) = scene.lines.split_at(scene.lines.len() - blank);
        [lines, &scene.log, blank].concat()
    });
    (wrong, lines.map(|line| line + "\n").collect())
}

#[test]
fn plays() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan/plays");
    let mut complaints = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "play") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let (mut wrong, right) = check(&text);
        if std::env::var_os("UPDATE").is_some() {
            (wrong, _) = check(&right);
            fs::write(&path, right).unwrap();
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        complaints.extend(wrong.into_iter().map(|wrong| format!("{name}: {wrong}")));
    }
    assert!(
        complaints.is_empty(),
        "\n{}\n\nIf that is as it should be: UPDATE=1 cargo test --lib plays\n",
        complaints.join("\n\n")
    );
}

#[test]
fn the_example_of_the_readme_is_true() {
    let readme = include_str!("../plays/README.md");
    let example: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert_eq!(check(&(example.join("\n") + "\n")), (Vec::new(), example.join("\n") + "\n"));
}
