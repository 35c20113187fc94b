//! STUB
use std::{io,sync::Arc};
use crate::job::{Planner,Table,Values,Job};
use crate::engine::{attempt::Attempt,task::{Task,Outcome}};
use crate::host::launcher::Launcher;
#[derive(Clone, Copy, Debug)] pub enum Keep { Capture, Everything }
#[derive(Debug, Clone)] pub struct Spec;
impl Spec { pub fn show(&self, _v: &Values<'_>) -> String { String::new() } }
pub struct Worker;
impl Worker { pub fn new(_s: &Spec, _j: &Job, _l: Arc<Launcher>, _k: Keep) -> io::Result<Self> { Ok(Worker) }
 pub async fn run(&mut self, _t: &Task, _a: &Attempt<'_>) -> Outcome { Outcome::not_started("stub") } }
pub fn read(_t: &mut Table<'_>, _p: &Planner<'_>) -> Option<Spec> { Some(Spec) }
