//! The cost of the most expensive XML: figures, by `cargo test --release --lib starttls::tests::cost -- --ignored --nocapture`.

use std::time::Duration;

use super::{Form, HEADER, negotiation, now};

/// What a peer sends repeatedly, after a beginning.
fn kinds() -> Vec<(String, String, String)> {
    let mut kinds = Vec::new();
    let features = format!("{HEADER}<stream:features>");
    for declarations in [0, 1, 10, 30, 80] {
        let level: String = (0..declarations).map(|number| format!(" xmlns:a{number}='b'")).collect();
        let nested = format!("{features}{}", format!("<x{level}>").repeat(29));
        for unit in ["<x/>", "<stream:x/>", "<stream:x stream:a='' stream:b=''/>"] {
            kinds.push((
                format!("{unit} under {declarations} declarations"),
                nested.clone(),
                unit.to_owned(),
            ));
        }
    }
    for unit in ["<x/>", "&lt;", "<x a='&lt;'/>", "<![CDATA[]]>", "]", "\r", "x"] {
        kinds.push((unit.escape_debug().to_string(), features.clone(), unit.to_owned()));
    }
    kinds
}

// rule F4, D5
#[test]
#[ignore = "prints figures, and needs a release build"]
fn no_kilobyte_takes_10_milliseconds() {
    for (kind, beginning, unit) in kinds() {
        let script: String = beginning + &unit.repeat(65_536 / unit.len());
        let mut negotiation = negotiation(Form::Pipelined);
        let (mut longest, mut total) = (Duration::ZERO, Duration::ZERO);
        for turn in script.as_bytes()[..65_536].chunks(1024) {
            let start = now();
            negotiation.handle_bytes(turn, start).unwrap();
            let took = now() - start;
            (longest, total) = (longest.max(took), total + took);
        }
        println!("{:8.3} ms for 1 KiB, {:6.2} ms for 64: {kind}", milliseconds(longest), milliseconds(total));
        assert!(longest < Duration::from_millis(10), "{kind}: {longest:?}");
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
