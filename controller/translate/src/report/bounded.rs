//! How long reports may be, and how many there may be of one object: what users write is quoted in them, and a status or an
//! answer to the API server has to hold them.

use std::collections::BTreeMap;

use crds::ObjectKey;

use super::{Problem, Report, Severity};

/// Longest text of a user's that is quoted, in bytes.
const QUOTED: usize = 256;
/// Longest field name, keys of maps included.
const FIELD: usize = 1024;

/// Shortens what reports quote, and keeps no more than so many of one object: errors rather than warnings, else the
/// first. How many are missing is one more report.
pub(crate) fn bound(reports: &mut Vec<Report>, most: usize) {
    for report in reports.iter_mut() {
        shorten(&mut report.field, FIELD);
        quoted(&mut report.problem);
    }
    if reports.len() <= most {
        return;
    }
    let mut found: BTreeMap<ObjectKey, [usize; 2]> = BTreeMap::new();
    for report in reports.iter() {
        found.entry(report.object.clone()).or_default()[kind(&report.problem)] += 1;
    }
    found.retain(|_, counts| counts.iter().sum::<usize>() > most);
    if found.is_empty() {
        return;
    }
    // What may stay of each, and what goes.
    let mut left: BTreeMap<ObjectKey, ([usize; 2], usize)> = BTreeMap::new();
    for (object, [errors, warnings]) in found {
        let room = most.saturating_sub(1);
        let errors_left = errors.min(room);
        let warnings_left = warnings.min(room - errors_left);
        left.insert(object, ([errors_left, warnings_left], errors + warnings - errors_left - warnings_left));
    }
    reports.retain(|report| match left.get_mut(&report.object) {
        None => true,
        Some((room, _)) => {
            let room = &mut room[kind(&report.problem)];
            let stays = *room > 0;
            *room = room.saturating_sub(1);
            stays
        }
    });
    reports.extend(left.into_iter().map(|(object, (_, count))| Report {
        object,
        field: String::new(),
        problem: Problem::MoreProblems { count },
    }));
}

fn kind(problem: &Problem) -> usize {
    match problem.severity() {
        Severity::Error => 0,
        Severity::Warning => 1,
    }
}

fn shorten(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

/// Cuts the texts of a problem that come from users.
fn quoted(problem: &mut Problem) {
    let texts: Vec<&mut String> = match problem {
        Problem::Missing { .. }
        | Problem::OutOfRange { .. }
        | Problem::Conflict { .. }
        | Problem::RegexTooLong { .. }
        | Problem::TextTooLong { .. }
        | Problem::AuthorityTwice { .. }
        | Problem::NoWeight
        | Problem::BodyTooLarge { .. }
        | Problem::Deprecated { .. }
        | Problem::NoEffect { .. }
        | Problem::UnreachableRule { .. }
        | Problem::LargeBody { .. }
        | Problem::NoTcpRoute
        | Problem::BeyondLimit { .. }
        | Problem::MoreProblems { .. } => Vec::new(),
        Problem::Invalid { value: text, .. }
        | Problem::Duplicate { value: text }
        | Problem::SlashAdded { path: text }
        | Problem::EnvironmentHidden { name: text }
        | Problem::BadDuration { text, .. }
        | Problem::DurationTooShort { text, .. }
        | Problem::HeaderNotEditable { name: text }
        | Problem::NotProgrammable { value: text, .. }
        | Problem::IneffectiveMatch { earlier: text }
        | Problem::NotSupportedYet { field: text, .. }
        | Problem::UnknownHost { host: text }
        | Problem::UnknownIngressClass { class: text }
        | Problem::DefaultBackendTaken { older: text }
        | Problem::UnknownGateway { gateway: text }
        | Problem::NotExported { namespace: text }
        | Problem::NoCommonHost { gateway: text }
        | Problem::UnknownDelegate { delegate: text }
        | Problem::NestedDelegate { delegate: text }
        | Problem::DelegateConflict { delegate: text, .. }
        | Problem::UnknownSecret { secret: text }
        | Problem::UnusableSecret { why: text }
        | Problem::ServerLeftOut { other: text, .. }
        | Problem::PolicyTaken { older: text }
        | Problem::BadMeshConfig { error: text } => vec![text],
        Problem::OverlappingHosts { first: a, second: b }
        | Problem::BadRegex { pattern: a, error: b }
        | Problem::BadHeaderValue { value: a, error: b }
        | Problem::UnknownPort { host: a, ports: b, .. }
        | Problem::UnknownPortName { name: a, why: b }
        | Problem::UnknownSubset { host: a, subset: b }
        | Problem::SubsetTaken { subset: a, older: b }
        | Problem::TakenOver { host: a, winner: b, .. }
        | Problem::NamespaceNotListed { namespace: a, workload: b }
        | Problem::ServiceTaken { host: a, winner: b, .. }
        | Problem::ForeignService { host: a, owner: b } => vec![a, b],
        Problem::HostOfOthers { host, owner, by } => vec![host, owner, by],
    };
    for text in texts {
        shorten(text, QUOTED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::ObjectKind;

    fn report(name: &str, problem: Problem) -> Report {
        Report { object: ObjectKey::new(ObjectKind::Gateway, "shop", name), field: "spec".to_owned(), problem }
    }

    #[test]
    fn an_error_behind_many_warnings_is_kept_and_the_rest_counted() {
        let mut reports: Vec<Report> = (0..50).map(|_| report("one", Problem::NoEffect { why: "x" })).collect();
        reports.push(report("one", Problem::NoWeight));
        reports.push(report("two", Problem::NoTcpRoute));
        bound(&mut reports, 10);
        let of = |name: &str| reports.iter().filter(|report| report.object.name == name).count();
        assert_eq!((of("one"), of("two")), (10, 1));
        assert!(reports.iter().any(|report| report.problem == Problem::NoWeight));
        assert!(reports.iter().any(|report| report.problem == Problem::MoreProblems { count: 42 }));
    }

    #[test]
    fn texts_of_users_are_cut() {
        let mut reports = vec![report("one", Problem::Duplicate { value: "é".repeat(1_000_000) })];
        reports[0].field = "x".repeat(1_000_000);
        bound(&mut reports, 10);
        assert!(reports[0].to_string().len() < 2_000);
    }
}
