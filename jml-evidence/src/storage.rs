//! Where the files of a log are kept: the few operations whose order makes an append safe.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Named bytes, with `/` between folders. Each operation is one that a crash can come before or after.
///
/// # Contract
/// - What [`write`](Storage::write) or [`append`](Storage::append) did is lost by a crash, wholly or in
///   part, unless [`sync`](Storage::sync) of the same name returned after it.
/// - That a name exists, is gone, or was moved is lost by a crash unless
///   [`sync_folder`](Storage::sync_folder) of its folder returned after it.
/// - [`rename`](Storage::rename) is atomic: whoever reads finds the old bytes or the new ones.
/// - There is one writer. Whoever cannot keep a second one out must not hand a storage out.
pub trait Storage: Send + Sync {
    /// The bytes under a name; `None` when there are none.
    ///
    /// # Errors
    /// Of the medium.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Every name.
    ///
    /// # Errors
    /// Of the medium.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Sets the bytes under a name.
    ///
    /// # Errors
    /// Of the medium.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Adds bytes at the end of what is under a name.
    ///
    /// # Errors
    /// Of the medium.
    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes the bytes under a name survive a crash.
    ///
    /// # Errors
    /// Of the medium.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Moves bytes to another name, in place of what was there.
    ///
    /// # Errors
    /// Of the medium.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name. Removing what is not there is no error.
    ///
    /// # Errors
    /// Of the medium.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes what names a folder has survive a crash. The folder of all is empty text.
    ///
    /// # Errors
    /// Of the medium.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;

    /// Sets files so that each is there whole or not at all, also after a crash, and that all of them are
    /// there when this returns.
    ///
    /// # Errors
    /// Of the medium.
    fn replace(&self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        for (name, bytes) in files {
            let temporary = format!("{name}.tmp");
            self.write(&temporary, bytes)?;
            self.sync(&temporary)?;
            self.rename(&temporary, name)?;
            folders.insert(folder(name));
        }
        folders.into_iter().try_for_each(|folder| self.sync_folder(folder))
    }
}

/// The folder of a name.
#[must_use]
pub fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A directory of the file system, locked for one process.
#[derive(Debug)]
pub struct FolderStorage {
    dir: PathBuf,
    _lock: File,
}

impl FolderStorage {
    /// Opens a directory, and makes it if there is none. The lock is a file beside it, so that the folder
    /// itself can be given away as it is.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] when another process has it, and errors of the file system.
    pub fn open(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.with_extension("lock"))?;
        lock.try_lock().map_err(|e| match e {
            fs::TryLockError::WouldBlock => {
                let text = format!("another process is writing in `{}`", dir.display());
                io::Error::new(ErrorKind::WouldBlock, text)
            }
            fs::TryLockError::Error(e) => e,
        })?;
        Ok(Self { dir, _lock: lock })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The path for writing, with its folders made.
    fn made(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.at(name);
        if let Some(parent) = path.parent()
            && !parent.exists()
        {
            fs::create_dir_all(parent)?;
            // The new folders must be there after a crash as well.
            let mut up = parent.parent();
            while let Some(folder) = up.filter(|folder| folder.starts_with(&self.dir)) {
                sync_dir(folder)?;
                up = folder.parent();
            }
        }
        Ok(path)
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    // Directories cannot be opened as files everywhere; where they cannot, renames are durable.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// The names of all files below a directory, sorted.
pub(crate) fn walk(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder)? {
            let path = item?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(name) = path.strip_prefix(dir) {
                let parts = name.components().map(|c| c.as_os_str().to_string_lossy());
                names.push(parts.collect::<Vec<_>>().join("/"));
            }
        }
    }
    names.sort();
    Ok(names)
}

fn missing_is<T>(result: io::Result<T>, instead: T) -> io::Result<T> {
    match result {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(instead),
        other => other,
    }
}

impl Storage for FolderStorage {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        missing_is(fs::read(self.at(name)).map(Some), None)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        walk(&self.dir)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.made(name)?, bytes)
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.made(name)?;
        OpenOptions::new().create(true).append(true).open(path)?.write_all(bytes)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.at(name))?.sync_data()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.at(name);
        missing_is(fs::remove_file(&path), ())?;
        if let Some(parent) = path.parent().filter(|parent| *parent != self.dir) {
            // Fails while something is left in it, which is right.
            let _ = fs::remove_dir(parent);
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        let path = self.at(folder);
        if path.exists() { sync_dir(&path) } else { Ok(()) }
    }
}
