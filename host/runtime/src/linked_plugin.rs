//! Compiles and links a plugin, to code that can be instantiated any number of times.

use wasmtime::component::{Component, Linker as ComponentLinker};
use wasmtime::{Engine, InstancePre, Linker, Module};
use wasmtime_wasi::p2::bindings::CommandPre;

use super::contract::bindings::JobPre;
use super::error::LoadProblem;
use super::form::Form;
use super::host_state::HostState;

/// Plugin that is compiled, linked and type-checked.
pub(crate) enum LinkedPlugin {
    Job(JobPre<HostState>),
    Command(CommandPre<HostState>),
    CoreCommand(InstancePre<HostState>),
}

impl LinkedPlugin {
    /// Compiles and links a plugin. These constructors accept WebAssembly only and refuse machine code.
    pub(crate) fn make(
        engine: &Engine,
        components: &ComponentLinker<HostState>,
        preview1: &Linker<HostState>,
        form: Form,
        bytes: &[u8],
    ) -> Result<Self, LoadProblem> {
        if form == Form::CoreCommand {
            let module = Module::from_binary(engine, bytes).map_err(|e| invalid(&e))?;
            let pre = preview1.instantiate_pre(&module).map_err(|e| link(&e))?;
            return Ok(Self::CoreCommand(pre));
        }
        let component = Component::from_binary(engine, bytes).map_err(|e| invalid(&e))?;
        let pre = components
            .instantiate_pre(&component)
            .map_err(|e| link(&e))?;
        if form == Form::Job {
            JobPre::new(pre).map(Self::Job).map_err(|e| link(&e))
        } else {
            CommandPre::new(pre)
                .map(Self::Command)
                .map_err(|e| link(&e))
        }
    }
}

fn invalid(error: &wasmtime::Error) -> LoadProblem {
    LoadProblem::Invalid {
        reason: LoadProblem::name(&format!("{error:#}")),
    }
}

fn link(error: &wasmtime::Error) -> LoadProblem {
    LoadProblem::Link {
        reason: LoadProblem::name(&format!("{error:#}")),
    }
}
