//! Directories that a guest was granted.
//!
//! Paths are resolved beneath the directory by the engine's library, link by link, so neither `..` nor a
//! link nor a full path leads out, also when a link is swapped meanwhile. What is added here: pipes,
//! sockets and devices are not opened, because opening a pipe waits for its other end, on a thread that
//! nobody can stop. This file must never open anything by itself but a granted directory.

use std::fs::File;
use std::sync::Arc;

use leasehold_records::printable;
use wasmtime::component::{Linker as ComponentLinker, Resource};
use wasmtime::{Caller, Linker, StoreContextMut};
use wasmtime_wasi::filesystem::{Descriptor, FsPerms, WasiFilesystemView as _};
use wasmtime_wasi::p1::types::{Fd, Filetype, Lookupflags};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as preview1, WasiSnapshotPreview1 as _};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, ErrorCode, HostDescriptor as _, OpenFlags, PathFlags,
};
use wasmtime_wasi::{WasiCtxBuilder, WasiView};
use wiggle::{GuestMemory, GuestPtr};

use super::disk::{Disk, Refusal};
use super::disk_preview1::{APPEND, parts};
use super::host::Host;
use leasehold_config::allow::Dir;

/// The interface as the engine's library names it; guests of all its 0.2 versions find it.
const TYPES: &str = "wasi:filesystem/types@0.2.12";
/// Preview 1's flags of an open that makes a file, and of one that empties it.
const CREATE: i32 = 1;
const TRUNCATE: i32 = 8;
/// Preview 1's number for "operation not permitted".
const NOT_PERMITTED: i32 = 63;

/// Opens `dir` for the guest; the error says what is wrong with it.
pub(crate) fn grant(builder: &mut WasiCtxBuilder, dir: &Dir) -> Result<(), String> {
    let rights = if dir.write {
        FsPerms::ReadWrite
    } else {
        FsPerms::ReadOnly
    };
    let opened = builder.preopened_dir(&dir.host, &dir.guest, rights);
    opened.map(|_| ()).map_err(|error| {
        format!(
            "directory {} (`dirs` in the job's `allow`) cannot be opened: {error:#}",
            dir.host.display()
        )
    })
}

/// Opens every directory and closes it again; the error names the first that cannot be opened.
pub(super) fn check(dirs: &[Dir]) -> Result<(), String> {
    let mut builder = WasiCtxBuilder::new();
    dirs.iter().try_for_each(|dir| grant(&mut builder, dir))
}

type OpenAt = (
    Resource<Descriptor>,
    PathFlags,
    String,
    OpenFlags,
    DescriptorFlags,
);
type Opened = (Result<Resource<Descriptor>, ErrorCode>,);

/// Puts a look before `open-at`, for components. The library's own functions must be linked already.
pub(crate) fn link(linker: &mut ComponentLinker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker
        .instance(TYPES)?
        .func_wrap_async("[method]descriptor.open-at", |store, how: OpenAt| {
            Box::new(open_at(store, how))
        })?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn open_at(
    mut store: StoreContextMut<'_, Host>,
    (dir, path_flags, path, open_flags, flags): OpenAt,
) -> wasmtime::Result<Opened> {
    let host = store.data_mut();
    let mut view = host.filesystem();
    let same = Resource::new_borrow(dir.rep());
    let found = view.stat_at(same, path_flags, path.clone()).await;
    // What is not there, or may not be looked at, says so itself when it is opened.
    let found = found.ok();
    if found.as_ref().is_some_and(|found| is_special(found.type_)) {
        host.say_not_opened(&path);
        return Ok((Err(ErrorCode::NotPermitted),));
    }
    host.gate.still()?;
    let opening = Opening {
        makes: open_flags.contains(OpenFlags::CREATE) && found.is_none(),
        freed: found
            .filter(|_| open_flags.contains(OpenFlags::TRUNCATE))
            .map_or(0, |found| found.size),
    };
    if let Err(refusal) = opening.admit(&host.disk) {
        return Ok((Err(refusal.into()),));
    }
    let mut view = host.filesystem();
    let opened = view.open_at(dir, path_flags, path, open_flags, flags).await;
    let file = opened.as_ref().ok().and_then(|opened| host.file(opened));
    opening.end(&host.disk, file.as_ref());
    match opened {
        Ok(file) => Ok((Ok(file),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

/// What an open changes, if it succeeds.
struct Opening {
    /// True when there was nothing of that name.
    makes: bool,
    /// Bytes that a truncation frees.
    freed: u64,
}

impl Opening {
    fn admit(&self, disk: &Disk) -> Result<(), Refusal> {
        if self.makes {
            disk.make()?;
        }
        disk.admit().inspect_err(|_| {
            if self.makes {
                disk.unmake();
            }
        })
    }

    fn end(&self, disk: &Disk, file: Option<&Arc<File>>) {
        disk.opened(file);
        match file {
            Some(_) => disk.shrink(self.freed),
            None if self.makes => disk.unmake(),
            None => {}
        }
    }
}

const fn is_special(kind: DescriptorType) -> bool {
    !matches!(
        kind,
        DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink
    )
}

type PathOpen = (i32, i32, i32, i32, i32, i64, i64, i32, i32);

/// As [`link`], for core modules.
pub(crate) fn link_preview1(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap_async(
        "wasi_snapshot_preview1",
        "path_open",
        |caller: Caller<'_, Host>, how: PathOpen| Box::new(path_open(caller, how)),
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn path_open(mut caller: Caller<'_, Host>, how: PathOpen) -> wasmtime::Result<i32> {
    let (dir, lookup, path, length, open, rights, inherited, flags, opened) = how;
    let (mut bytes, host) = parts(&mut caller)?;
    let text = GuestPtr::<str>::new((path.cast_unsigned(), length.cast_unsigned()));
    let mut found = None;
    if let Ok(lookup) = Lookupflags::try_from(lookup) {
        let looked = host
            .wasi
            .path_filestat_get(&mut bytes, Fd::from(dir), lookup, text)
            .await;
        found = looked.ok();
        if found
            .as_ref()
            .is_some_and(|found| is_special1(found.filetype))
        {
            let path = bytes.as_cow_str(text).map(String::from).unwrap_or_default();
            host.say_not_opened(&path);
            return Ok(NOT_PERMITTED);
        }
    }
    host.gate.still()?;
    let opening = Opening {
        makes: open & CREATE != 0 && found.is_none(),
        freed: found
            .filter(|_| open & TRUNCATE != 0)
            .map_or(0, |found| found.size),
    };
    if let Err(refusal) = opening.admit(&host.disk) {
        return Ok(refusal.errno());
    }
    let handle = host.next_handle()?;
    let wasi = host.called_preview1();
    let answer = preview1::path_open(
        wasi, &mut bytes, dir, lookup, path, length, open, rights, inherited, flags, opened,
    )
    .await?;
    let file = if answer == 0 {
        host.file(&handle)
    } else {
        None
    };
    opening.end(&host.disk, file.as_ref());
    if let Some(file) = file
        && let Ok(number) = bytes.read(GuestPtr::<u32>::new(opened.cast_unsigned()))
    {
        host.disk
            .number(number.cast_signed(), &file, flags & APPEND != 0);
    }
    Ok(answer)
}

const fn is_special1(kind: Filetype) -> bool {
    !matches!(
        kind,
        Filetype::RegularFile | Filetype::Directory | Filetype::SymbolicLink
    )
}

impl Host {
    /// The handle that the next file will have: the library keeps the files of a core module to itself, in a table
    /// that gives out the place that was freed last.
    fn next_handle(&mut self) -> wasmtime::Result<Resource<Descriptor>> {
        // Granted directories get their handles at the first use of any number.
        let mut none = GuestMemory::Unshared(&mut []);
        let _ = self.wasi.fd_tell(&mut none, Fd::from(0));
        let table = WasiView::ctx(&mut self.wasi).table;
        let probe = table.push(())?;
        let at = probe.rep();
        table.delete(probe)?;
        Ok(Resource::new_borrow(at))
    }

    fn say_not_opened(&self, path: &str) {
        let path = printable::head(path).0;
        self.output.remark(&format!(
            "{path:?} was not opened: it is a pipe, a socket or a device, and a guest gets files only"
        ));
    }
}
