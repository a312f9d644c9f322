//! Waits until what was asked for is done.

use super::{Results, Waiting, machine_and_node};
use crate::{failure, output::warn};
use anyhow::Result;
use futures::{StreamExt, stream};
use kube::Client;
use metal_machine::request::{Progress, RaisedRequest, Request, progress};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How often to look. By name, so that it takes no right to list, and outlives any connection.
const POLL: Duration = Duration::from_secs(2);
/// How many are looked at at a time.
const AT_A_TIME: usize = 8;

/// One that is waited for.
struct Wait {
    name: String,
    asked: RaisedRequest,
    /// What was printed about it last.
    said: String,
}

/// How a look at one has ended.
enum Look {
    Waits(String),
    Done(Box<metal_api::Machine>),
    Failed(String),
}

/// Waits until all are done or given up, and prints what becomes of them. The time counts from when the first was
/// asked for. Returns how many are not done.
///
/// # Errors
///
/// If nothing can be printed.
pub(super) async fn until_done(
    client: &Client,
    asked: Vec<(String, RaisedRequest)>,
    (begin, waiting): (Instant, &Waiting),
    results: &mut Results,
) -> Result<usize> {
    let within = waiting.timeout;
    let new = |(name, asked)| Wait { name, asked, said: String::new() };
    let mut waits: Vec<_> = asked.into_iter().map(new).collect();
    let mut failed = 0;
    while !waits.is_empty() {
        let looks = stream::iter(waits.iter().map(|wait| look(client, wait, waiting.for_people)));
        let looks = looks.buffered(AT_A_TIME).collect::<Vec<_>>();
        let Ok(looks) = timeout_at(begin + within, looks).await else {
            return Ok(failed + out_of_time(&waits, within));
        };
        let mut left = vec![];
        for (mut wait, look) in waits.into_iter().zip(looks) {
            match look {
                Look::Waits(line) => {
                    if line != wait.said {
                        let seconds = begin.elapsed().as_secs();
                        warn(&format!("{}: {seconds}s: {line}", wait.name));
                        wait.said = line;
                    }
                    left.push(wait);
                }
                Look::Done(machine) => results.tell(&machine, done(wait.asked.request))?,
                Look::Failed(why) => {
                    warn(&format!("error: machine {}: {why}", wait.name));
                    failed += 1;
                }
            }
        }
        waits = left;
        if !waits.is_empty() && timeout_at(begin + within, sleep(POLL)).await.is_err() {
            return Ok(failed + out_of_time(&waits, within));
        }
    }
    Ok(failed)
}

fn done(request: Request) -> &'static str {
    match request {
        Request::Reboot => "rebooted",
        Request::Repave => "repaved",
    }
}

/// Says of each that it took too long, and returns how many there are.
fn out_of_time(waits: &[Wait], within: Duration) -> usize {
    for Wait { name, said, .. } in waits {
        let within = within.as_secs();
        let last = if said.is_empty() { "nothing was seen of it" } else { said };
        warn(&format!(
            "error: machine {name}: not done within {within} s, and goes on without being waited for: \
             {last}"
        ));
    }
    waits.len()
}

async fn look(client: &Client, wait: &Wait, keeps_waiting: bool) -> Look {
    match machine_and_node(client, &wait.name).await {
        Ok((Some(machine), node)) => match progress(&machine, node.as_ref(), &wait.asked) {
            Progress::Waits(line) => Look::Waits(line),
            Progress::NeedsPerson { reason, message } if keeps_waiting => {
                Look::Waits(format!("{reason}: {message}"))
            }
            Progress::NeedsPerson { reason, message } => Look::Failed(format!(
                "{reason}: {message}; metalman continues once this is fixed; use --keep-waiting to wait"
            )),
            Progress::Done => Look::Done(Box::new(machine)),
            Progress::GivenUp { reason, message } => Look::Failed(format!("{reason}: {message}")),
        },
        Ok((None, _)) => Look::Failed("the Machine is gone".to_owned()),
        Err(error) => {
            let why = failure::chain(&error);
            let client = error.downcast_ref::<kube::Error>();
            // Without one of the client, it took too long.
            if client.is_none_or(failure::is_passing) {
                Look::Waits(format!("{why}; still trying"))
            } else {
                Look::Failed(why)
            }
        }
    }
}
