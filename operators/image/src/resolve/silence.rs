//! Registries that do not answer. Whoever resolves images does so for a limited number at a time: all of
//! them would wait for one such registry, and nobody would get an image of another.

use super::Error;
use crate::{reference::Registry, registry};
use metal_base::Locked;
use std::{collections::HashMap, sync::Mutex};

/// How many ask a silent registry at a time whether it answers again.
const PROBES: usize = 8;
/// For how many registries it is remembered that they are silent.
const MOST: usize = 256;

/// The registries that have not answered lately.
#[derive(Default)]
pub(super) struct Silences(Mutex<HashMap<Registry, Silence>>);

struct Silence {
    /// How the last request failed.
    error: registry::Error,
    /// How many are asking.
    asking: usize,
}

/// Somebody asks a registry, until this is dropped.
pub(super) struct Probe<'a> {
    silences: &'a Silences,
    registry: &'a Registry,
    /// Whether it is one of those who ask a silent one.
    counts: bool,
}

impl Silences {
    /// Begins to ask a registry.
    ///
    /// # Errors
    ///
    /// How the last request has failed, if enough others find out whether it answers again.
    pub(super) fn ask<'a>(&'a self, registry: &'a Registry) -> Result<Probe<'a>, registry::Error> {
        let mut silent = self.0.locked();
        let counts = match silent.get_mut(registry) {
            Some(silence) if silence.asking >= PROBES => return Err(silence.error.clone()),
            Some(silence) => {
                silence.asking += 1;
                true
            }
            None => false,
        };
        Ok(Probe { silences: self, registry, counts })
    }
}

impl Probe<'_> {
    /// Notes whether it has answered. A refusal is an answer.
    pub(super) fn heard<T>(&self, answer: &Result<T, Error>) {
        let mut silent = self.silences.0.locked();
        let Some(error) = silence(answer) else {
            silent.remove(self.registry);
            return;
        };
        if let Some(known) = silent.get_mut(self.registry) {
            known.error = error.clone();
            return;
        }
        if silent.len() >= MOST {
            silent.clear();
        }
        silent.insert(self.registry.clone(), Silence { error: error.clone(), asking: 0 });
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        if !self.counts {
            return;
        }
        if let Some(silence) = self.silences.0.locked().get_mut(self.registry) {
            silence.asking = silence.asking.saturating_sub(1);
        }
    }
}

/// The error, if it is that nobody has answered.
fn silence<T>(answer: &Result<T, Error>) -> Option<&registry::Error> {
    match answer {
        Err(Error::Registry(
            error @ (registry::Error::Unreachable { .. } | registry::Error::Deadline { .. }),
        )) => Some(error),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_ask_a_registry_that_is_silent_and_everybody_one_that_answers() {
        let silences = Silences::default();
        let [silent, other] = ["ghcr.io", "quay.io"].map(|it| it.parse::<Registry>().unwrap());
        let ask = || silences.ask(&silent).ok();
        let first: Vec<_> = (0..2 * PROBES).map(|_| ask().unwrap()).collect();
        let late = registry::Error::Deadline { registry: silent.clone() };
        first[0].heard::<()>(&Err(late.into()));
        drop(first);
        let mut asking: Vec<_> = (0..PROBES).map(|_| ask().unwrap()).collect();
        assert!(ask().is_none(), "enough are asking");
        assert!(silences.ask(&other).is_ok());
        asking.truncate(PROBES - 1);
        let last = ask().unwrap();
        assert!(ask().is_none(), "one took the place of another");
        let refused = registry::Error::RateLimited { registry: silent.clone() };
        last.heard::<()>(&Err(refused.into()));
        let again: Vec<_> = (0..2 * PROBES).filter_map(|_| ask()).collect();
        assert_eq!(again.len(), 2 * PROBES, "it has answered");
    }
}
