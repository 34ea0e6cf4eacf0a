//! What several threads wait for of each other: named things that are there, or will not be.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};

#[derive(Default)]
pub struct Outcomes {
    known: Mutex<BTreeMap<String, bool>>,
    changed: Condvar,
}

/// What a thread has taken upon itself. Dropped without being kept, also by a panic, its things will not be there, so that
/// nobody waits for ever.
pub struct Promise<'a> {
    outcomes: &'a Outcomes,
    names: Vec<String>,
}

impl Outcomes {
    pub fn promise<S: ToString>(&self, names: impl IntoIterator<Item = S>) -> Promise<'_> {
        Promise { outcomes: self, names: names.into_iter().map(|name| name.to_string()).collect() }
    }

    pub fn set(&self, name: &str, is_there: bool) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), is_there);
        self.changed.notify_all();
    }

    /// Waits until all are there; false as soon as one will not be.
    pub fn wait<S: AsRef<str>>(&self, names: impl IntoIterator<Item = S>) -> bool {
        let wanted: Vec<S> = names.into_iter().collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if wanted.iter().any(|name| known.get(name.as_ref()) == Some(&false)) {
                return false;
            }
            if wanted.iter().all(|name| known.contains_key(name.as_ref())) {
                return true;
            }
            known = self.changed.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Promise<'_> {
    /// All of it is there.
    pub fn keep(mut self) {
        std::mem::take(&mut self.names).iter().for_each(|name| self.outcomes.set(name, true));
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            let is_known = self.outcomes.known.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name);
            if !is_known {
                self.outcomes.set(name, false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_is_there_or_will_not_be() {
        let outcomes = Outcomes::default();
        std::thread::scope(|scope| {
            let good = scope.spawn(|| outcomes.wait(["a", "b"]));
            let bad = scope.spawn(|| outcomes.wait(["a", "c"]));
            outcomes.promise(["a"]).keep();
            let both = outcomes.promise(["b", "c"]);
            outcomes.set("b", true);
            drop(both);
            assert!(good.join().unwrap() && !bad.join().unwrap());
        });
    }
}
