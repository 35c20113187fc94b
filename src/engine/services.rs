//! The services of a running job: they are started one after another before the first task, watched while tasks run,
//! and ended after the last task in reverse order.
//!
//! They are handled on a thread of their own, so that an event loop that is held delays neither their start nor the
//! news of their end. A service that ends early drains the job. What a service writes goes straight into its log
//! without being copied, so it is whole even if the runner is killed.

mod log;
mod probe;

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use crate::base::diagnostic::reason;
use crate::engine::run::SharedLauncher;
use crate::job::{Job, Service};
use crate::launcher::patiently;
use crate::launcher::{Ended, HasNul, Launcher, Port, Start, Strings};
use crate::task::ServiceFailure;
use crate::task::{Cancel, Cause, Level, Moment, clock};
use crate::workload::command::how_it_ended;
use log::Log;

/// How long a killed service may take to end, since it may hang in the kernel.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// The services of a job. Dropping this ends them, and waits for that.
pub struct Services {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Services {
    /// Starts the services of `job`, whose logs go into the folder `results`, and waits until all are ready, or until
    /// the job is stopped: `cancel` then says why, a service that fails included.
    pub fn start(
        job: &Arc<Job>,
        results: &Path,
        launcher: &SharedLauncher,
        cancel: &Arc<Cancel>,
    ) -> Self {
        let stop = CancellationToken::new();
        if job.services.is_empty() {
            return Self { stop, thread: None };
        }
        let (started, all_started) = oneshot::channel();
        let thread = {
            let (job, launcher, results) = (Arc::clone(job), launcher.clone(), results.to_owned());
            let (cancel, stop) = (Arc::clone(cancel), stop.clone());
            thread::Builder::new().name("services".into()).spawn(move || {
                let result = launcher.get().and_then(|launcher| {
                    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
                    let environment = Rc::new(Environment {
                        launcher,
                        results,
                        job,
                        cancel: Arc::clone(&cancel),
                    });
                    LocalSet::new().block_on(&runtime, environment.run(started, stop));
                    runtime.shutdown_background(); // a name lookup may be in progress
                    Ok(())
                });
                if let Err(error) = result {
                    cannot(&cancel, &error);
                }
            })
        };
        match thread {
            Ok(thread) => {
                // An error means that the thread has ended, after reporting why.
                let _ = all_started.blocking_recv();
                Self { stop, thread: Some(thread) }
            }
            Err(error) => {
                cannot(cancel, &error);
                Self { stop, thread: None }
            }
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic has been printed, and the launcher ends the services
        }
    }
}

fn cannot(cancel: &Cancel, error: &io::Error) {
    let message = format!("failed to start services: {}", reason(error));
    cancel.raise(Level::Drain, Cause::Service(ServiceFailure::NotReady(message)));
}

/// What the services of a job share.
struct Environment {
    launcher: Arc<Launcher>,
    results: PathBuf,
    job: Arc<Job>,
    cancel: Arc<Cancel>,
}

impl Environment {
    /// Runs all services from their start to their end.
    async fn run(self: Rc<Self>, started: oneshot::Sender<()>, stop: CancellationToken) {
        let mut running = Vec::new();
        for index in 0..self.job.services.len() {
            let (ready, is_ready) = oneshot::channel();
            let stop = CancellationToken::new();
            let (environment, its_stop) = (Rc::clone(&self), stop.clone());
            let task = tokio::task::spawn_local(async move {
                let service = &environment.job.services[index];
                if let Err(failure) = environment.serve(service, ready, its_stop).await {
                    environment.cancel.raise(Level::Drain, Cause::Service(failure));
                }
            });
            running.push((task, stop));
            tokio::select! {
                biased;
                () = self.cancel.draining() => break,
                _ = is_ready => {}
            }
        }
        let _ = started.send(());
        stop.cancelled().await;
        for (task, stop) in running.into_iter().rev() {
            stop.cancel();
            let _ = task.await; // a panic has been printed
        }
    }

    /// Runs one service from its start to its end.
    async fn serve(
        &self,
        service: &Service,
        ready: oneshot::Sender<()>,
        stop: CancellationToken,
    ) -> Result<(), ServiceFailure> {
        let log = Log::create(&self.results, &self.job.name, &service.name);
        let mut log = log.map_err(ServiceFailure::NotReady)?;
        let not_ready = |what: String, log: &Log| {
            let tail = log.tail();
            ServiceFailure::NotReady(format!("service `{}` {what}{tail}", service.name))
        };
        if let Some(address) = probe::taken(&service.ready).await {
            let what = format!(
                "cannot be distinguished from a program that accepts connections at {address} already"
            );
            return Err(not_ready(what, &log));
        }
        let mut port = self
            .start_program(service, &log)
            .await
            .map_err(|error| not_ready(format!("was not started: {}", reason(&error)), &log))?;
        let deadline = Moment::now() + service.timeout;
        tokio::select! {
            biased;
            ended = port.ended() => {
                let how = self.describe_end(ended, service);
                return Err(not_ready(format!("ended before it was ready: {how}"), &log));
            }
            () = stop.cancelled() => return self.end(&mut port).await,
            () = probe::until_ready(&service.ready, &mut log) => {}
            () = clock::sleep_until(deadline) => {
                let timeout = humantime::format_duration(service.timeout);
                let what = format!("was not ready after {timeout} (ready is: {})", service.ready);
                let failure = not_ready(what, &log);
                self.cancel.raise(Level::Drain, Cause::Service(failure.clone()));
                self.end(&mut port).await?;
                return Err(failure);
            }
        }
        let _ = ready.send(());
        tokio::select! {
            biased;
            () = stop.cancelled() => self.end(&mut port).await,
            ended = port.ended() => {
                let how = self.describe_end(ended, service);
                let (name, tail) = (&service.name, log.tail());
                let message = format!("service `{name}` ended while the job was running: {how}{tail}");
                Err(ServiceFailure::Ended(message))
            }
        }
    }

    async fn start_program(&self, service: &Service, log: &Log) -> io::Result<Port> {
        let variables = service.variables().map_err(|HasNul| {
            io::Error::other("a secret in its `env` has a NUL, which no program can be given")
        })?;
        let mut port = self.launcher.port()?;
        let start = Start {
            program: &service.program,
            argv: &service.argv,
            set: &variables,
            unset: &Strings::default(),
            cwd: Some(&service.cwd),
            stdin: None,
            stdout: Some(log.fd()),
            stderr: Some(log.fd()),
            extra: None,
        };
        patiently(|| port.start(&start)).await?;
        port.own_group()?;
        // Waited for before anything counts as ready: a program that could not be started has ended by now.
        port.started().await?;
        Ok(port)
    }

    /// The message on how it ended by itself.
    fn describe_end(&self, ended: io::Result<Ended>, service: &Service) -> String {
        match ended {
            Ok(ended) => how_it_ended(&ended.exit, &service.program_name()),
            Err(error) => {
                // What the service has started may still run, and it may be long until a task asks for a port.
                self.launcher.clean_up();
                reason(&error)
            }
        }
    }

    /// Ends a service: TERM to its group, KILL after the grace.
    async fn end(&self, port: &mut Port) -> Result<(), ServiceFailure> {
        let grace = self.job.grace();
        for (is_gentle, patience) in [(true, grace), (false, KILL_GRACE)] {
            // An error means that the launcher has ended, and the service with it.
            let _ = if is_gentle { port.terminate() } else { port.signal(libc::SIGKILL) };
            tokio::select! {
                biased;
                _ = port.ended() => return Ok(()),
                () = clock::sleep_until(Moment::now() + patience) => {}
            }
        }
        Ok(())
    }
}
