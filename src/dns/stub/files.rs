//! Opens files of the system so that nothing that stands in their place can block.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// Opens the regular file at `path`, links followed. Returns which version of it that is, too.
///
/// # Errors
/// Why it cannot be opened; a directory, a FIFO or a device counts as not readable.
pub(crate) fn open(path: &Path) -> io::Result<(File, Stamp)> {
    // Looked at first as well, because opening a FIFO or a device has effects.
    check(&fs::metadata(path)?)?;
    let file = open_without_blocking(path)?;
    let metadata = file.metadata()?;
    check(&metadata)?;
    Ok((file, Stamp::new(&metadata)))
}

fn check(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(io::Error::other("it is not a regular file")) }
}

#[cfg(unix)]
fn open_without_blocking(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
    Ok(file.into())
}

/// Here a path names nothing that blocks when it is opened, except by intent of those who may write to system folders.
#[cfg(not(unix))]
fn open_without_blocking(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// What distinguishes two versions of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Stamp {
    /// That of the file at `path`; `None` where there is none.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::new(&metadata))
    }

    fn new(metadata: &Metadata) -> Self {
        Self { modified: metadata.modified().ok(), length: metadata.len(), inode: inode(metadata) }
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::TemporaryDirectory;

    // rule H3b
    #[test]
    fn only_a_regular_file_is_opened() {
        let directory = TemporaryDirectory::new();
        let file = directory.path("file");
        let why = |path: &Path| open(path).unwrap_err().to_string();
        assert!(why(&file).contains("(os error 2)"));
        assert_eq!(why(&directory.path("")), "it is not a regular file");
        fs::write(&file, "x").unwrap();
        assert_eq!(open(&file).unwrap().1, Stamp::of(&file).unwrap());
    }

    // rule H3b
    #[cfg(target_os = "linux")]
    #[test]
    fn a_fifo_a_device_and_a_dangling_link_are_refused_at_once() {
        let directory = TemporaryDirectory::new();
        let (fifo, link) = (directory.path("fifo"), directory.path("link"));
        crate::dns::testing::make_fifo(&fifo);
        std::os::unix::fs::symlink(directory.path("nothing"), &link).unwrap();
        for path in [&*fifo, Path::new("/dev/zero")] {
            assert_eq!(open(path).unwrap_err().to_string(), "it is not a regular file");
            // As if it had been put there behind our look at it: opening does not wait, and the descriptor shows it.
            let file = open_without_blocking(path).unwrap();
            assert!(check(&file.metadata().unwrap()).is_err());
        }
        assert!(open(&link).is_err());
    }
}
