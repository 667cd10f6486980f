//! What an earlier icebox left: which sandboxes are there again, and which files are nobody's.

use std::collections::{BTreeMap, BTreeSet};

use super::ground::Taken;
use super::record::Record;

/// What is to be done.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// Sandboxes that are there again, paused, each with a pause that is whole.
    pub(super) again: Vec<Record>,
    /// Records that stand for nothing.
    pub(super) forget: Vec<String>,
    /// Folders that are nobody's.
    pub(super) remove: Vec<String>,
}

/// Decides about sandboxes; `folders` says of each folder of a pause whether it is whole.
pub(super) fn plan(records: BTreeMap<String, Record>, folders: &BTreeMap<String, bool>) -> Plan {
    let mut plan = Plan::default();
    let is_whole = |name: &String| folders.get(name).copied().unwrap_or_default();
    for (name, mut record) in records {
        let done = record.pausing.take().filter(|pausing| is_whole(&pausing.folder));
        if let Some(done) = done {
            // The pause was done, and nobody wrote it down any more.
            record.runs = false;
            record.end_ms = done.at_ms;
            record.kept = Some(done);
        } else if record.runs
            && let Some(kept) = record.kept.clone()
        {
            record.fall_back(&kept, "its VM ended with an earlier icebox");
        }
        match &record.kept {
            Some(kept) if is_whole(&kept.folder) && !record.is_over() => plan.again.push(record),
            _ => plan.forget.push(name),
        }
    }
    let used: BTreeSet<_> = plan.again.iter().filter_map(|record| Some(&record.kept.as_ref()?.folder)).collect();
    plan.remove = folders.keys().filter(|name| !used.contains(name)).cloned().collect();
    plan
}

/// Decides about snapshots in the same way; returns those that are there, names to forget and folders to remove.
pub(super) fn plan_snapshots(
    taken: BTreeMap<String, Taken>,
    folders: &BTreeMap<String, bool>,
) -> (BTreeMap<String, Taken>, Vec<String>, Vec<String>) {
    let is_whole = |name: &str| folders.get(name).copied().unwrap_or_default();
    let (again, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = taken.into_iter().partition(|(id, _)| is_whole(id));
    let remove = folders.keys().filter(|name| !again.contains_key(*name)).cloned().collect();
    (again, gone.into_keys().collect(), remove)
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    /// Plans for one record and these folders; returns the folder that counts, and what is removed.
    fn one(mut of: Record, running: bool, folders: &[(&str, bool)]) -> (Option<String>, Vec<String>, Option<String>) {
        of.runs = running;
        let folders = folders.iter().map(|(name, whole)| ((*name).to_owned(), *whole)).collect();
        let plan = plan(BTreeMap::from([("ione".to_owned(), of)]), &folders);
        assert_eq!(plan.again.len() + plan.forget.len(), 1);
        let again = plan.again.into_iter().next();
        let trouble = again.as_ref().and_then(|record| record.trouble.clone());
        assert!(again.as_ref().is_none_or(|record| record.pausing.is_none() && !record.runs));
        (again.and_then(|record| record.kept).map(|kept| kept.folder), plan.remove, trouble)
    }

    #[test]
    fn every_point_of_a_crash_leads_to_a_whole_pause_or_to_none() {
        let (a, b) = (|| Some("a".to_owned()), || Some("b".to_owned()));
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        for (what, kept, pausing, running, folders, becomes, removed, falls_back) in [
            ("paused", Some("a"), None, false, &[("a", true)][..], a(), names(&[]), false),
            ("running, paused once", Some("a"), None, true, &[("a", true)], a(), names(&[]), true),
            ("first pause announced", None, Some("a"), true, &[], None, names(&[]), false),
            ("first pause broken off", None, Some("a"), true, &[("a", false)], None, names(&["a"]), false),
            ("first pause done", None, Some("a"), true, &[("a", true)], a(), names(&[]), false),
            ("second pause announced", Some("a"), Some("b"), true, &[("a", true)], a(), names(&[]), true),
            ("second pause done", Some("a"), Some("b"), true, &[("a", true), ("b", true)], b(), names(&["a"]), false),
            ("old one removed", Some("a"), Some("b"), true, &[("b", true)], b(), names(&[]), false),
            ("files lost", Some("a"), None, false, &[], None, names(&[]), false),
            ("files damaged", Some("a"), None, false, &[("a", false)], None, names(&["a"]), false),
            ("nobody's", Some("a"), None, false, &[("a", true), (".x", false)], a(), names(&[".x"]), false),
        ] {
            let (is, gone, trouble) = one(record("ione", kept, pausing), running, folders);
            assert_eq!((is, gone), (becomes, removed), "{what}");
            assert_eq!(trouble.is_some(), falls_back, "{what}: {trouble:?}");
        }
    }

    #[test]
    fn what_was_suspended_beyond_its_time_is_gone_or_stays_paused() {
        let folders = BTreeMap::from([("a".to_owned(), true)]);
        let mut it = record("ione", Some("a"), None);
        it.left_ms = Some(0);
        let plan_of = |record: &Record| plan(BTreeMap::from([("ione".to_owned(), record.clone())]), &folders);
        assert_eq!(plan_of(&it).again.len(), 1);
        it.lifecycle.on_timeout = super::super::OnTimeout::Kill;
        assert_eq!((plan_of(&it).forget, plan_of(&it).remove), (vec!["ione".to_owned()], vec!["a".to_owned()]));
        it.left_ms = Some(1);
        assert_eq!(plan_of(&it).again.len(), 1);
    }
}
