//! What can happen next in the explored world: to the operator, the control plane, the migrator, and to what is kept.

use std::collections::BTreeSet;

use super::custody::Step;
use super::intake::{self, Verdict};
use super::machine::{Decision, decide};
use super::model::{Explorer, Mutant, Node, State};

impl Explorer {
    /// The agent of a node is offered a record. `Some`: something changed.
    pub fn offer(&mut self, node: &Node, offered: u16) -> Option<Node> {
        let key = (offered, node.last, node.disk);
        let takes = if let Some(takes) = self.verdicts.get(&key) {
            *takes
        } else {
            let last = node.last.map(|last| self.custodies.get(last));
            let verdict = intake::judge(Ok(self.custodies.get(offered)), last, Some(self.files.get(node.disk)));
            let takes = matches!(verdict, Verdict::Right | Verdict::Replace { .. });
            self.verdicts.insert(key, takes);
            takes
        };
        let record = self.custodies.get(offered);
        let file = record.file.clone()?;
        // Of a record that differs in nothing that a file is made of, the agent learns nothing.
        let last = node.last.map(|last| self.custodies.get(last));
        if last.is_some_and(|last| {
            (last.generation, &last.keys, &last.file) == (record.generation, &record.keys, &record.file)
        }) {
            return None;
        }
        let reckless = self.mutant == Mutant::AgentTakesAnOlderFile;
        if !takes && !reckless {
            return None;
        }
        let disk = self.files.number(&file);
        let next = Node {
            disk,
            last: Some(offered),
            ..node.clone()
        };
        (next != *node).then_some(next)
    }

    pub fn operator(&mut self, state: &State, all: &mut Vec<State>) -> Result<(), String> {
        match &state.pending {
            None => {
                if let Some(pending) = self.decide(state) {
                    if self.bounds.losses {
                        all.push(self.commit(state, &pending)?);
                        return Ok(());
                    }
                    let mut next = state.clone();
                    next.pending = Some((pending, state.stored.custody));
                    all.push(next);
                }
            }
            Some((pending, saw)) => {
                let mut crashed = state.clone();
                crashed.pending = None;
                // Compare and swap: what was seen of the Secret must still stand there.
                if *saw == state.stored.custody {
                    all.push(self.commit(&crashed, pending)?);
                }
                all.push(crashed);
            }
        }
        Ok(())
    }

    pub fn control_plane(&mut self, state: &State, all: &mut Vec<State>) -> Result<(), String> {
        let offers: Vec<u16> = state
            .stored
            .custody
            .into_iter()
            // A kubelet that restarts may mount an older Secret.
            .chain(state.backup.as_ref().and_then(|backup| backup.custody))
            .collect();
        for index in 0..2 {
            let node = state.nodes[index].clone();
            for offered in &offers {
                if let Some(changed) = self.offer(&node, *offered) {
                    if self.writes_plain_text(changed.disk) && !self.writes_plain_text(node.disk) {
                        return Err(format!("node {index} goes back to plain text"));
                    }
                    let mut next = state.clone();
                    next.nodes[index] = changed;
                    all.push(next);
                }
            }
            if node.loaded != node.disk {
                let mut reloaded = state.clone();
                reloaded.nodes[index].loaded = node.disk;
                all.push(reloaded.clone());
                // A restart also forgets the write that it had begun.
                reloaded.nodes[index].begun = None;
                all.push(reloaded);
            }
            match node.begun {
                None if index < self.bounds.writers => {
                    let mut next = state.clone();
                    next.nodes[index].begun = Some(self.meaning(node.loaded).1);
                    all.push(next);
                }
                None => {}
                Some(key) => {
                    let mut next = state.clone();
                    next.nodes[index].begun = None;
                    next.stored.objects[0] = key;
                    all.push(next);
                }
            }
        }
        let is_agreed = self.custody(state).is_some_and(|custody| custody.agreed_at.is_some());
        if is_agreed && !state.waited && state.nodes.iter().all(|node| node.begun.is_none()) {
            let mut next = state.clone();
            next.waited = true;
            all.push(next);
        }
        Ok(())
    }

    pub fn migrator(&mut self, state: &State, all: &mut Vec<State>) {
        let Some(id) = state.order.map(|id| self.orders.get(id).clone()) else {
            return;
        };
        let open = self.needed(&id) & !state.looked;
        let count = self.bounds.objects;
        for bit in (0..2 * count).filter(|bit| open & (1 << bit) != 0) {
            let (server, object) = (bit / count, bit % count);
            let mut next = state.clone();
            next.looked |= 1 << bit;
            let first = self.meaning(state.nodes[server].loaded).1;
            if state.stored.objects[object] != first {
                next.unproven = true;
                // Something may refuse the patch.
                let mut refused = next.clone();
                refused.refused = true;
                all.push(refused);
                next.stored.objects[object] = first;
            }
            all.push(next);
        }
    }

    pub fn losses(&mut self, state: &State, all: &mut Vec<State>) -> Result<(), String> {
        // One that is taken in the middle of a file's way is like one before it or after it.
        let is_quiet = self
            .custody(state)
            .is_none_or(|custody| custody.agreed_at.is_some() || custody.step == Step::Import);
        if state.backup.is_none() && state.losses > 0 && is_quiet && state.nodes.iter().all(|node| node.begun.is_none())
        {
            let mut next = state.clone();
            next.backup = Some(state.stored.clone());
            all.push(next);
        }
        if state.losses == 0 {
            // Somebody rebuilds the Secret from the files of a node, or from the sealed copy.
            let newest = state
                .nodes
                .iter()
                .filter_map(|node| node.last)
                .max_by_key(|last| self.custodies.get(*last).generation);
            let lost = matches!(
                decide(&self.wanted(state), &self.seen(state), &[0; 32]),
                Decision::Stop(_)
            );
            for record in newest.into_iter().chain(state.stored.sealed).filter(|_| lost) {
                let recovered = self.custodies.get(record).recovered().unwrap();
                if recovered.generation < 2000 {
                    let mut next = state.clone();
                    next.stored.custody = Some(self.intern(&recovered));
                    next.waited = false;
                    all.push(next);
                }
            }
            return Ok(());
        }
        self.all_is_lost(state, all)?;
        let backup = state.backup.clone();
        let mut lost = state.clone();
        lost.losses -= 1;
        // From now on the backup is of no use: that bounds what there is to explore.
        lost.backup = None;
        lost.stored.custody = None;
        all.push(lost.clone());
        lost.stored.sealed = None;
        all.push(lost.clone());
        let Some(backup) = backup else { return Ok(()) };
        let mut restored = lost;
        restored.stored = state.stored.clone();
        restored.stored.custody = backup.custody;
        all.push(restored.clone());
        // All of etcd, as far as the keys that are kept reach; the API servers start anew.
        restored.stored = backup;
        for node in &mut restored.nodes {
            node.begun = None;
            node.loaded = node.disk;
        }
        let reads: Vec<BTreeSet<u16>> = restored.nodes.iter().map(|node| self.meaning(node.disk).0).collect();
        if restored
            .stored
            .objects
            .iter()
            .all(|object| reads.iter().all(|readers| readers.contains(object)))
        {
            all.push(restored);
        }
        Ok(())
    }

    /// The Secret and every file are lost at once; the API servers start with the file that the sealed copy gives.
    fn all_is_lost(&mut self, state: &State, all: &mut Vec<State>) -> Result<(), String> {
        let Some(sealed) = state.stored.sealed else {
            return Ok(());
        };
        let recovered = self.custodies.get(sealed).recovered().unwrap();
        let file = self.files.number(recovered.file.as_ref().unwrap());
        let loaded = state.nodes.clone().map(|node| node.loaded);
        let was_encrypted = loaded.into_iter().any(|file| !self.writes_plain_text(file));
        if was_encrypted && self.writes_plain_text(file) {
            return Err("after a recovery from the sealed copy, objects are written in plain text again".to_owned());
        }
        let mut next = state.clone();
        next.losses -= 1;
        next.backup = None;
        next.waited = false;
        next.stored.custody = Some(self.intern(&recovered));
        for node in &mut next.nodes {
            *node = Node {
                disk: file,
                last: None,
                loaded: file,
                begun: None,
            };
        }
        all.push(next);
        Ok(())
    }
}
