//! From a file to a plugin that can be run: read, look, check, compile, link.
//!
//! All of it happens on a thread of its own under the job's compile time, before any lock is asked
//! for. A compiler that overstays cannot be stopped, so it is left behind and its place stays
//! taken; when all places are, plugins are refused instead of piling up more threads. This file
//! must never accept machine code, and must never block an async worker.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::engine::{Engines, Links, Workshop};
use super::error::{LoadError, LoadProblem};
use super::form::{self, Form};
use super::http::{Net, Resolve};
use super::plugin::{Facts, Plugin, Ready};
use super::proposals;
use super::shelf::Make;
use super::survey::{Survey, survey};
use crate::allow::Allow;
use crate::limits::Limits;
use crate::owned::{Refusal, open};

/// Plugins compiled at once. One compilation already uses all cores.
const COMPILERS: usize = 2;

/// One plugin to load.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) job: String,
    pub(crate) path: PathBuf,
    /// What is in the file, when somebody has read it already.
    pub(crate) bytes: Option<Arc<[u8]>>,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) limits: Limits,
    pub(crate) grants: Allow,
}

/// Where plugins are compiled.
pub(crate) struct Loader {
    engines: Arc<Engines>,
    resolver: Arc<dyn Resolve>,
    places: Arc<Semaphore>,
    left_behind: Arc<AtomicUsize>,
}

/// A taken place; freed when the compiler really is done.
struct Place {
    _permit: OwnedSemaphorePermit,
    left_behind: Arc<AtomicUsize>,
    answer: Option<oneshot::Sender<Result<Plugin, LoadProblem>>>,
}

impl Loader {
    pub(crate) fn new(engines: Arc<Engines>, resolver: Arc<dyn Resolve>) -> Self {
        Self {
            engines,
            resolver,
            places: Arc::new(Semaphore::new(COMPILERS)),
            left_behind: Arc::new(AtomicUsize::new(0)),
        }
    }

    pub(crate) fn engines(&self) -> &Engines {
        &self.engines
    }

    pub(crate) async fn load(&self, order: Order) -> Result<Plugin, LoadError> {
        let (job, path) = (order.job.clone(), order.path.clone());
        self.attempt(order)
            .await
            .map_err(|problem| LoadError { job, path, problem })
    }

    async fn attempt(&self, order: Order) -> Result<Plugin, LoadProblem> {
        let most = order.limits.compile_time;
        let late = LoadProblem::CompileTime {
            job: order.job.clone(),
            most,
        };
        let permit = self.place(&order).await?;
        let (answer, mut answered) = oneshot::channel();
        let place = Place {
            _permit: permit,
            left_behind: self.left_behind.clone(),
            answer: Some(answer),
        };
        let engines = self.engines.clone();
        let resolver = self.resolver.clone();
        thread::Builder::new()
            .name("leasehold-compile".to_owned())
            .spawn(move || place.fill(&engines, &resolver, &order))
            .map_err(|error| LoadProblem::Host(format!("no thread to compile on: {error}")))?;
        match timeout(most, &mut answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(LoadProblem::Host("the compiler failed".to_owned())),
            Err(_) => {
                self.left_behind.fetch_add(1, Ordering::SeqCst);
                answered.close();
                let Ok(result) = answered.try_recv() else {
                    return Err(late);
                };
                // It answered in this very moment, so it is not left behind.
                self.left_behind.fetch_sub(1, Ordering::SeqCst);
                result
            }
        }
    }

    /// Waits for a place for as long as those who hold one can be expected to finish.
    async fn place(&self, order: &Order) -> Result<OwnedSemaphorePermit, LoadProblem> {
        loop {
            let place = self.places.clone().acquire_owned();
            match timeout(order.limits.compile_time, place).await {
                Ok(Ok(permit)) => return Ok(permit),
                Ok(Err(closed)) => return Err(LoadProblem::Host(closed.to_string())),
                Err(_) if self.left_behind.load(Ordering::SeqCst) >= COMPILERS => {
                    return Err(LoadProblem::CompilersBusy);
                }
                Err(_) => {}
            }
        }
    }
}

impl Place {
    fn fill(mut self, engines: &Engines, resolver: &Arc<dyn Resolve>, order: &Order) {
        let result = load(engines, resolver, order);
        if let Some(answer) = self.answer.take()
            && answer.send(result).is_err()
        {
            // The one who asked had given up; we are no longer left behind.
            self.left_behind.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn load(
    engines: &Engines,
    resolver: &Arc<dyn Resolve>,
    order: &Order,
) -> Result<Plugin, LoadProblem> {
    let mut bytes = match &order.bytes {
        Some(bytes) if bytes.len() as u64 > order.limits.plugin_bytes => {
            return Err(LoadProblem::TooBig {
                job: order.job.clone(),
                most: order.limits.plugin_bytes,
            });
        }
        Some(bytes) => Cow::Borrowed(&**bytes),
        None => Cow::Owned(read(&order.path, order)?),
    };
    let size = bytes.len() as u64;
    let sha256: [u8; 32] = Sha256::digest(&bytes).into();
    check_digest(order, &sha256)?;
    let mut found = survey(&bytes)?;
    if found.carries_component_type {
        bytes = Cow::Owned(componentize(&bytes)?);
        found = survey(&bytes)?;
    }
    let (form, contract) = form::form_of(&found)?;
    form::check_imports(&found, &order.job, &order.grants)?;
    check_memory(order, &found)?;
    let net = Net::of(&order.grants, resolver).map_err(LoadProblem::Certificates)?;
    let (ready, workshop) = compile(engines, order, form, &bytes)
        .map_err(|problem| proposals::name_proposal(form::explain(problem, &found), &bytes))?;
    Ok(Plugin::new(
        Facts {
            job: order.job.clone(),
            path: order.path.clone(),
            form,
            sha256: hex(&sha256),
            size_bytes: size,
            imports: found.imports,
            contract,
            memory_minimum_bytes: found.memory_minimum,
            pooled: workshop.pooled,
        },
        order.limits.clone(),
        order.grants.clone(),
        net,
        ready,
        workshop,
    ))
}

/// Reads at most the limit, from nothing but a regular file.
fn read(path: &Path, order: &Order) -> Result<Vec<u8>, LoadProblem> {
    let most = order.limits.plugin_bytes;
    let file = open(path).map_err(|refusal| match refusal {
        Refusal::Unreadable(error) => LoadProblem::Unreadable(error),
        Refusal::Directory => LoadProblem::NotAFile("directory"),
        Refusal::Special => LoadProblem::NotAFile("pipe, socket or device"),
        other => {
            let (what, help) = other.explain();
            LoadProblem::Exposed(format!("{what}: {help}"))
        }
    })?;
    let meta = file.metadata().map_err(LoadProblem::Unreadable)?;
    let too_big = || LoadProblem::TooBig {
        job: order.job.clone(),
        most,
    };
    if meta.len() > most {
        return Err(too_big());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
    // The file may have grown since.
    read_at_most(file, most.saturating_add(1), &mut bytes).map_err(LoadProblem::Unreadable)?;
    if bytes.len() as u64 > most {
        return Err(too_big());
    }
    Ok(bytes)
}

fn read_at_most(file: File, most: u64, into: &mut Vec<u8>) -> io::Result<usize> {
    file.take(most).read_to_end(into)
}

fn check_digest(order: &Order, found: &[u8; 32]) -> Result<(), LoadProblem> {
    match &order.sha256 {
        Some(expected) if expected != found => Err(LoadProblem::Digest {
            job: order.job.clone(),
            expected: hex(expected),
            found: hex(found),
        }),
        _ => Ok(()),
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn check_memory(order: &Order, found: &Survey) -> Result<(), LoadProblem> {
    let most = order.limits.memory_bytes;
    if found.memory_minimum > most {
        return Err(LoadProblem::Memory {
            job: order.job.clone(),
            needs: found.memory_minimum,
            most,
        });
    }
    Ok(())
}

/// Wraps a core module that carries component types into the component it describes.
pub(crate) fn componentize(core: &[u8]) -> Result<Vec<u8>, LoadProblem> {
    use wasi_preview1_component_adapter_provider as provider;
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(core)
        // The adapter goes in only where preview 1 is imported.
        .and_then(|encoder| {
            encoder.adapter(
                provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
                provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
            )
        })
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| {
            let reason = LoadProblem::name(&format!("{error:#}"));
            proposals::name_proposal(LoadProblem::Invalid { reason }, core)
        })
}

/// Compiles on the first engine that takes the plugin.
fn compile(
    engines: &Engines,
    order: &Order,
    form: Form,
    bytes: &[u8],
) -> Result<(Arc<Ready>, Arc<Workshop>), LoadProblem> {
    let choice = engines
        .choose(&order.limits)
        .map_err(|error| LoadProblem::Host(error.to_string()))?;
    let mut refusal = LoadProblem::Host("no engine for these limits".to_owned());
    let links = Links::of(&order.grants);
    let make = Make::of(bytes, links);
    for workshop in choice {
        let compile = || {
            let checked = engines.check_cache();
            checked.map_err(|error| LoadProblem::Host(error.to_string()))?;
            Ready::make(&workshop, form, bytes, links)
        };
        match workshop.shelf.get_or(make, compile) {
            Ok(ready) => return Ok((ready, workshop)),
            Err(problem) => refusal = problem,
        }
    }
    Err(refusal)
}
