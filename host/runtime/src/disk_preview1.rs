//! The preview 1 functions by which a core module changes its directories, checked by the disk meter.
//!
//! The engine's library gives no access to the files of a core module. So the meter tracks them by the numbers under
//! which they were opened. A change that the meter refuses does not happen. `disk_wasi` does the same for components.

use std::fs::File;
use std::sync::Arc;

use wasmtime::{AsContextMut as _, Caller, Extern, Linker};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::types::{Fd, Filetype, Lookupflags, Prestat};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as preview1, WasiSnapshotPreview1 as _};
use wiggle::{GuestMemory, GuestPtr};

use super::disk::DiskRefusal;
use super::host_state::HostState;

const MODULE: &str = "wasi_snapshot_preview1";
/// The flag of a file whose writes go to its end.
pub(crate) const APPEND: i32 = 1;

impl DiskRefusal {
    /// Returns preview 1's error number.
    pub(crate) const fn errno(self) -> i32 {
        match self {
            Self::Bytes | Self::Files => 51,
            Self::Open => 33,
            Self::HostOpen => 41,
            Self::Link => 63,
            Self::Names => 48,
        }
    }
}

/// Returns the guest's memory and the host state.
pub(crate) fn parts<'a>(
    caller: &'a mut Caller<'_, HostState>,
) -> wasmtime::Result<(GuestMemory<'a>, &'a mut HostState)> {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        wasmtime::bail!("missing required memory export");
    };
    let fuel = caller.as_context_mut().hostcall_fuel();
    let (bytes, host) = memory.data_and_store_mut(caller);
    host.called_preview1().set_hostcall_fuel(fuel);
    Ok((GuestMemory::Unshared(bytes), host))
}

/// Links the metered functions over the library's own, like [`super::disk_wasi::link`].
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    link_files(linker)?;
    link_numbers(linker)?;
    link_names(linker)?;
    link_deletions(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn link_files(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "fd_write",
        |mut caller: Caller<'_, HostState>, (fd, list, count, written): (i32, i32, i32, i32)| {
            Box::new(async move {
                let (mut memory, host) = parts(&mut caller)?;
                if let Err(refusal) = host.grows_numbered(&mut memory, fd, (list, count), None) {
                    return Ok(refusal.errno());
                }
                preview1::fd_write(&mut host.wasi, &mut memory, fd, list, count, written).await
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_pwrite",
        |mut caller: Caller<'_, HostState>, how: (i32, i32, i32, i64, i32)| {
            Box::new(async move {
                let (fd, list, count, at, written) = how;
                let (mut memory, host) = parts(&mut caller)?;
                let place = Some(at.cast_unsigned());
                if let Err(refusal) = host.grows_numbered(&mut memory, fd, (list, count), place) {
                    return Ok(refusal.errno());
                }
                preview1::fd_pwrite(&mut host.wasi, &mut memory, fd, list, count, at, written).await
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_filestat_set_size",
        |mut caller: Caller<'_, HostState>, (fd, size): (i32, i64)| {
            Box::new(async move {
                let (mut memory, host) = parts(&mut caller)?;
                let wanted = size.cast_unsigned();
                let file = host.disk.numbered(fd);
                let before = file.and_then(|(file, _)| file.metadata().ok());
                let before = before.map_or(wanted, |found| found.len());
                if let Err(refusal) = host.disk.grow(wanted.saturating_sub(before)) {
                    return Ok(refusal.errno());
                }
                let set = preview1::fd_filestat_set_size(&mut host.wasi, &mut memory, fd, size);
                let set = set.await?;
                if set == 0 {
                    host.disk.shrink(before.saturating_sub(wanted));
                }
                Ok(set)
            })
        },
    )?;
    Ok(())
}

/// Links functions that change the meaning of file numbers, and the one that lists directories.
fn link_numbers(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "fd_fdstat_set_flags",
        |mut caller: Caller<'_, HostState>, (fd, flags): (i32, i32)| {
            Box::new(async move {
                let (mut memory, host) = parts(&mut caller)?;
                let set = preview1::fd_fdstat_set_flags(&mut host.wasi, &mut memory, fd, flags);
                let set = set?;
                if set == 0 {
                    host.disk.set_appends(fd, flags & APPEND != 0);
                }
                Ok(set)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_close",
        |mut caller: Caller<'_, HostState>, (fd,): (i32,)| {
            Box::new(async move {
                let (mut memory, host) = parts(&mut caller)?;
                let closed = preview1::fd_close(&mut host.wasi, &mut memory, fd).await?;
                if closed == 0 {
                    host.disk.renumber(None, fd);
                }
                Ok(closed)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_renumber",
        |mut caller: Caller<'_, HostState>, (from, to): (i32, i32)| {
            Box::new(async move {
                let (mut memory, host) = parts(&mut caller)?;
                let moved = preview1::fd_renumber(&mut host.wasi, &mut memory, from, to).await?;
                if moved == 0 && from != to {
                    host.disk.renumber(Some(from), to);
                }
                Ok(moved)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_readdir",
        |mut caller: Caller<'_, HostState>, how: (i32, i32, i32, i64, i32)| {
            Box::new(async move {
                let (fd, buffer, length, cookie, used) = how;
                let (mut memory, host) = parts(&mut caller)?;
                if let Some(directory) = host.directory(fd)
                    && let Err(refusal) = host.disk.list(directory).await
                {
                    return Ok(refusal.errno());
                }
                host.gate.still()?;
                let wasi = &mut host.wasi;
                preview1::fd_readdir(wasi, &mut memory, fd, buffer, length, cookie, used).await
            })
        },
    )?;
    Ok(())
}

fn link_names(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "path_create_directory",
        |mut caller: Caller<'_, HostState>, (fd, path, length): (i32, i32, i32)| {
            Box::new(async move {
                let (mut memory, host) = parts(&mut caller)?;
                if let Err(refusal) = host.disk.make() {
                    return Ok(refusal.errno());
                }
                let wasi = &mut host.wasi;
                let made = preview1::path_create_directory(wasi, &mut memory, fd, path, length);
                let made = made.await?;
                Ok(host.made_numbered(made))
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "path_link",
        |mut caller: Caller<'_, HostState>, how: (i32, i32, i32, i32, i32, i32, i32)| {
            Box::new(async move {
                let (old, flags, path, length, new, name, size) = how;
                let (mut memory, host) = parts(&mut caller)?;
                if let Err(refusal) = host.disk.make() {
                    return Ok(refusal.errno());
                }
                let wasi = &mut host.wasi;
                let made = preview1::path_link(
                    wasi,
                    &mut memory,
                    old,
                    flags,
                    path,
                    length,
                    new,
                    name,
                    size,
                );
                let made = made.await?;
                Ok(host.made_numbered(made))
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "path_symlink",
        |mut caller: Caller<'_, HostState>, how: (i32, i32, i32, i32, i32)| {
            Box::new(async move {
                let (target, length, fd, name, size) = how;
                let (mut memory, host) = parts(&mut caller)?;
                // The library refuses a target that cannot be read.
                let text = memory.as_cow_str(pointer(target, length));
                let text = text.map(String::from).unwrap_or_default();
                let admitted = host.disk.link(&text).and_then(|()| host.disk.make());
                if let Err(refusal) = admitted {
                    return Ok(refusal.errno());
                }
                let wasi = &mut host.wasi;
                let made =
                    preview1::path_symlink(wasi, &mut memory, target, length, fd, name, size);
                let made = made.await?;
                Ok(host.made_numbered(made))
            })
        },
    )?;
    Ok(())
}

/// Links functions that may free bytes or files.
fn link_deletions(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "path_unlink_file",
        |mut caller: Caller<'_, HostState>, (fd, path, length): (i32, i32, i32)| {
            Box::new(async move {
                let (mut memory, host) = parts(&mut caller)?;
                let freed = size_at(&mut host.wasi, &mut memory, fd, (path, length)).await;
                host.gate.still()?;
                let wasi = &mut host.wasi;
                let deleted = preview1::path_unlink_file(wasi, &mut memory, fd, path, length);
                let deleted = deleted.await?;
                Ok(host.freed_numbered(freed, deleted))
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "path_remove_directory",
        |mut caller: Caller<'_, HostState>, (fd, path, length): (i32, i32, i32)| {
            Box::new(async move {
                let (mut memory, host) = parts(&mut caller)?;
                let wasi = &mut host.wasi;
                let deleted = preview1::path_remove_directory(wasi, &mut memory, fd, path, length);
                let deleted = deleted.await?;
                Ok(host.freed_numbered(Some(0), deleted))
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "path_rename",
        |mut caller: Caller<'_, HostState>, how: (i32, i32, i32, i32, i32, i32)| {
            Box::new(async move {
                let (old, path, length, new, name, size) = how;
                let (mut memory, host) = parts(&mut caller)?;
                let freed = size_at(&mut host.wasi, &mut memory, new, (name, size)).await;
                host.gate.still()?;
                let wasi = &mut host.wasi;
                let renamed =
                    preview1::path_rename(wasi, &mut memory, old, path, length, new, name, size);
                let renamed = renamed.await?;
                Ok(host.freed_numbered(freed, renamed))
            })
        },
    )?;
    Ok(())
}

/// Makes a pointer to a text in the guest's memory.
fn pointer(at: i32, length: i32) -> GuestPtr<str> {
    GuestPtr::<str>::new((at.cast_unsigned(), length.cast_unsigned()))
}

/// Returns the length of the only buffer that the library writes: the first that is not empty.
fn first_length(memory: &GuestMemory<'_>, (list, count): (i32, i32)) -> u64 {
    let list = list.cast_unsigned();
    let lengths = (0..count.cast_unsigned()).map_while(|at| {
        let place = list.checked_add(at.checked_mul(8)?)?.checked_add(4)?;
        memory.read(GuestPtr::<u32>::new(place)).ok()
    });
    lengths
        .into_iter()
        .find(|length| *length > 0)
        .unwrap_or(0)
        .into()
}

/// Returns the bytes freed by deleting the name at `path`; `None` if that frees nothing.
async fn size_at(
    wasi: &mut WasiP1Ctx,
    memory: &mut GuestMemory<'_>,
    directory: i32,
    (path, length): (i32, i32),
) -> Option<u64> {
    let found = wasi
        .path_filestat_get(
            memory,
            Fd::from(directory),
            Lookupflags::empty(),
            pointer(path, length),
        )
        .await
        .ok()?;
    match found.filetype {
        Filetype::RegularFile if found.nlink == 1 => Some(found.size),
        Filetype::SymbolicLink => Some(0),
        _ => None,
    }
}

impl HostState {
    /// Counts the growth by a write to the file of this number. Anything that is not a file does not grow.
    fn grows_numbered(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: i32,
        buffers: (i32, i32),
        place: Option<u64>,
    ) -> Result<(), DiskRefusal> {
        let Some((file, appends)) = self.disk.numbered(fd) else {
            return Ok(());
        };
        let place = match place {
            _ if appends => None,
            Some(place) => Some(place),
            None => match self.wasi.fd_tell(memory, Fd::from(fd)) {
                Ok(place) => Some(place),
                Err(_) => return Ok(()),
            },
        };
        let length = first_length(memory, buffers);
        self.disk.write(&file, place, length)
    }

    /// Returns the directory of this number. A granted directory is opened again for this.
    fn directory(&mut self, fd: i32) -> Option<Arc<File>> {
        if let Some((directory, _)) = self.disk.numbered(fd) {
            return Some(directory);
        }
        // The name is read into separate memory, which the guest cannot see.
        let mut name = vec![0; 4096];
        let mut memory = GuestMemory::Unshared(&mut name);
        let Prestat::Dir(prestat) = self.wasi.fd_prestat_get(&mut memory, Fd::from(fd)).ok()?;
        let (at, length) = (GuestPtr::<u8>::new(0), prestat.pr_name_len);
        let wasi = &mut self.wasi;
        wasi.fd_prestat_dir_name(&mut memory, Fd::from(fd), at, length)
            .ok()?;
        let name = name.get(..length as usize)?;
        let mut granted = self.grants.dirs.iter();
        let dir = granted.find(|dir| dir.guest.as_bytes() == name)?;
        File::open(&dir.host).ok().map(Arc::new)
    }

    fn made_numbered(&self, made: i32) -> i32 {
        if made != 0 {
            self.disk.unmake();
        }
        made
    }

    fn freed_numbered(&self, bytes: Option<u64>, deleted: i32) -> i32 {
        if let (Some(bytes), 0) = (bytes, deleted) {
            self.disk.deleted(bytes);
        }
        deleted
    }
}
