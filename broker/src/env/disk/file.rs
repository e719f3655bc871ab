//! An open file, written and read at positions; its growth counts against its volume.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use super::cache::Cache;
use super::fault::{Fault, Faults};
use super::volume::Volume;

/// An open file. Reads may go on beside one writer; two writers at once are the caller's mistake.
#[derive(Debug)]
pub struct File {
    inner: fs::File,
    path: PathBuf,
    len: AtomicU64,
    around: Around,
}

/// What a file is on, beside the file system.
#[derive(Debug)]
pub(super) struct Around {
    pub volume: Option<Arc<Volume>>,
    pub faults: Option<Arc<Faults>>,
    pub cache: Option<Arc<Cache>>,
}

impl File {
    pub(super) fn new(inner: fs::File, path: &Path, around: Around) -> io::Result<Self> {
        let len = AtomicU64::new(inner.metadata()?.len());
        Ok(Self {
            inner,
            path: path.to_owned(),
            len,
            around,
        })
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.len.load(Ordering::SeqCst)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all of `content` at `position`, in one system call unless the kernel takes less.
    ///
    /// # Errors
    /// As pwrite(2); ENOSPC on a full volume. Part of the content may have been written.
    pub fn write_all_at(&self, content: &[u8], position: u64) -> io::Result<()> {
        self.check(Fault::Write)?;
        let before = self.size();
        let end = position.saturating_add(content.len() as u64);
        let growth = end.saturating_sub(before);
        self.take(growth)?;
        if let Some(cache) = &self.around.cache {
            cache.writing(&self.inner, position, content.len())?;
        }
        let written = match self.check(Fault::TornWrite) {
            Ok(()) => self.inner.write_all_at(content, position),
            Err(torn) => self
                .inner
                .write_all_at(&content[..content.len() / 2], position)
                .and(Err(torn)),
        };
        let len = if written.is_ok() {
            before.max(end)
        } else {
            self.inner.metadata().map_or(before, |meta| meta.len())
        };
        self.len.store(len, Ordering::SeqCst);
        self.release(growth.saturating_sub(len.saturating_sub(before)));
        written
    }

    /// Reads at most `into.len()` bytes; fewer only at the end of the file.
    ///
    /// # Errors
    /// As pread(2).
    pub fn read_at(&self, into: &mut [u8], position: u64) -> io::Result<usize> {
        self.check(Fault::Read)?;
        let mut done = 0;
        while done < into.len() {
            match self.inner.read_at(&mut into[done..], position + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// At most `len` bytes from `position` on; fewer only at the end of the file. Their room is not cleared before: the
    /// kernel writes all of it.
    ///
    /// # Errors
    /// As pread(2).
    pub fn read(&self, len: usize, position: u64) -> io::Result<Vec<u8>> {
        self.check(Fault::Read)?;
        let mut content = Vec::with_capacity(len);
        while content.len() < len {
            let at = position + content.len() as u64;
            match rustix::io::pread(&self.inner, spare_capacity(&mut content), at) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // There may have been room for more.
        content.truncate(len);
        Ok(content)
    }

    /// Cuts the file to `len` bytes; never makes it longer.
    ///
    /// # Errors
    /// As ftruncate(2).
    pub fn truncate(&self, len: u64) -> io::Result<()> {
        self.check(Fault::Truncate)?;
        let before = self.inner.metadata()?.len();
        if len < before {
            if let Some(cache) = &self.around.cache {
                cache.truncating(&self.inner, len)?;
            }
            self.inner.set_len(len)?;
            self.len.store(len, Ordering::SeqCst);
            self.release(before - len);
        }
        Ok(())
    }

    /// Takes room for `len` bytes on the device without growing the file (fallocate). Volumes of a fixed size do not count it.
    ///
    /// # Errors
    /// As fallocate(2); not every file system can.
    pub fn reserve(&self, len: u64) -> io::Result<()> {
        self.check(Fault::Write)?;
        rustix::fs::fallocate(&self.inner, rustix::fs::FallocateFlags::KEEP_SIZE, 0, len).map_err(io::Error::from)
    }

    /// Gives back the room behind the end that [`File::reserve`] took.
    ///
    /// # Errors
    /// As ftruncate(2).
    pub fn give_back(&self) -> io::Result<()> {
        self.check(Fault::Truncate)?;
        self.inner.set_len(self.size())
    }

    /// Waits until the content is on the device (fdatasync).
    ///
    /// # Errors
    /// As fdatasync(2). After an error the kernel may have dropped the pages: the content is unknown.
    pub fn sync(&self) -> io::Result<()> {
        self.check(Fault::Sync)?;
        self.inner.sync_data()?;
        let cache = self.around.cache.as_ref();
        cache.map_or(Ok(()), |cache| cache.synced(&self.inner))
    }

    /// Takes an exclusive lock that ends with this handle or its process; false if another holds it.
    ///
    /// # Errors
    /// As flock(2).
    pub fn try_lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.inner, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes room for `bytes` more.
    fn take(&self, bytes: u64) -> io::Result<()> {
        if let Some(volume) = &self.around.volume {
            volume.take(bytes)?;
        }
        let taken = self
            .around
            .faults
            .as_ref()
            .map_or(Ok(()), |faults| faults.take(&self.path, bytes));
        if let (Err(_), Some(volume)) = (&taken, &self.around.volume) {
            volume.release(bytes);
        }
        taken
    }

    fn release(&self, bytes: u64) {
        if let Some(volume) = &self.around.volume {
            volume.release(bytes);
        }
        if let Some(faults) = &self.around.faults {
            faults.release(&self.path, bytes);
        }
    }

    fn check(&self, fault: Fault) -> io::Result<()> {
        self.around
            .faults
            .as_ref()
            .map_or(Ok(()), |faults| faults.check(fault, &self.path))
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}
