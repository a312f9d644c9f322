//! Registries that do not answer. Whoever resolves images does so for a limited number at a time: all of
//! them would wait for one such registry, and nobody would get an image of another.

use super::Error;
use crate::{
    reference::{Name, Registry},
    registry,
};
use metal_base::Locked;
use std::{collections::HashMap, sync::Mutex};

/// A registry is silent after this many requests without an answer to any. A single one that broke off keeps
/// nobody from asking.
const FAILURES: usize = 8;
/// How many ask a silent registry at a time whether it answers again.
const PROBES: usize = 8;
/// How many of these ask for one repository: a registry that fetches it from elsewhere may be silent about
/// that one only.
const OF_REPOSITORY: usize = 2;
/// For how many registries it is remembered that they are silent.
const MOST: usize = 256;

/// The registries that have not answered lately.
#[derive(Default)]
pub(super) struct Silences(Mutex<HashMap<Registry, Silence>>);

struct Silence {
    /// How the first request failed. The same words for everybody, so that nobody's status changes with each
    /// request of another.
    error: registry::Error,
    /// How many requests have failed since the last answer.
    failures: usize,
    /// The repositories that are being asked for.
    asking: Vec<Name>,
}

/// Somebody asks for a repository, until this is dropped.
pub(super) struct Probe<'a> {
    silences: &'a Silences,
    name: &'a Name,
    /// Whether it is one of those who ask a registry that has not answered lately.
    counts: bool,
}

impl Silences {
    /// Begins to ask for a repository.
    ///
    /// # Errors
    ///
    /// How an earlier request has failed, if enough others find out whether the registry answers again.
    pub(super) fn ask<'a>(&'a self, name: &'a Name) -> Result<Probe<'a>, registry::Error> {
        let mut silent = self.0.locked();
        let counts = match silent.get_mut(name.registry()) {
            Some(silence) if silence.is_asked(name) => return Err(silence.error.clone()),
            Some(silence) => {
                silence.asking.push(name.clone());
                true
            }
            None => false,
        };
        Ok(Probe { silences: self, name, counts })
    }
}

impl Silence {
    /// Whether enough ask already.
    fn is_asked(&self, name: &Name) -> bool {
        let same = self.asking.iter().filter(|asked| *asked == name).count();
        self.failures >= FAILURES && (self.asking.len() >= PROBES || same >= OF_REPOSITORY)
    }
}

impl Probe<'_> {
    /// Notes whether the registry has answered. A refusal is an answer.
    pub(super) fn heard<T>(&self, answer: &Result<T, Error>) {
        let registry = self.name.registry();
        let mut silent = self.silences.0.locked();
        let Some(error) = silence(answer) else {
            silent.remove(registry);
            return;
        };
        if let Some(known) = silent.get_mut(registry) {
            known.failures = known.failures.saturating_add(1);
            return;
        }
        if silent.len() >= MOST {
            silent.clear();
        }
        let silence = Silence { error: error.clone(), failures: 1, asking: vec![] };
        silent.insert(registry.clone(), silence);
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        if !self.counts {
            return;
        }
        if let Some(silence) = self.silences.0.locked().get_mut(self.name.registry())
            && let Some(at) = silence.asking.iter().position(|asked| asked == self.name)
        {
            silence.asking.swap_remove(at);
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

    /// Repositories of a registry.
    fn names(registry: &str) -> Vec<Name> {
        (0..=PROBES).map(|number| format!("{registry}/a/{number}").parse().unwrap()).collect()
    }

    /// So many requests for a repository end without an answer.
    fn fail(silences: &Silences, name: &Name, times: usize) {
        let late = registry::Error::Deadline { registry: name.registry().clone() };
        let answer: Result<(), Error> = Err(late.into());
        for _ in 0..times {
            silences.ask(name).unwrap().heard(&answer);
        }
    }

    #[test]
    fn few_ask_a_registry_that_is_silent_and_everybody_one_that_answers() {
        let silences = Silences::default();
        let (silent, others) = (names("ghcr.io"), names("quay.io"));
        fail(&silences, &silent[0], FAILURES);
        let mut asking: Vec<_> = silent.iter().filter_map(|name| silences.ask(name).ok()).collect();
        assert_eq!(asking.len(), PROBES, "enough are asking");
        assert!(silences.ask(&others[0]).is_ok());
        asking.truncate(PROBES - 1);
        let last = silences.ask(&silent[PROBES]).unwrap();
        assert!(silences.ask(&silent[0]).is_err(), "one took the place of another");
        let refused = registry::Error::RateLimited { registry: silent[0].registry().clone() };
        last.heard::<()>(&Err(refused.into()));
        let again: Vec<_> = silent.iter().filter_map(|name| silences.ask(name).ok()).collect();
        assert_eq!(again.len(), silent.len(), "it has answered");
    }

    #[test]
    fn a_repository_that_is_silent_keeps_nobody_from_others_of_its_registry() {
        let silences = Silences::default();
        let names = names("ghcr.io");
        fail(&silences, &names[0], FAILURES);
        let asking: Vec<_> = (0..PROBES).filter_map(|_| silences.ask(&names[0]).ok()).collect();
        assert_eq!(asking.len(), OF_REPOSITORY);
        assert!(silences.ask(&names[1]).is_ok());
    }

    #[test]
    fn a_request_that_broke_off_makes_no_registry_silent() {
        let silences = Silences::default();
        let names = names("ghcr.io");
        fail(&silences, &names[0], FAILURES - 1);
        let asking: Vec<_> = (0..2 * PROBES).filter_map(|_| silences.ask(&names[0]).ok()).collect();
        assert_eq!(asking.len(), 2 * PROBES);
    }
}
