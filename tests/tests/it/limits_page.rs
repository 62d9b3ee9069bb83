//! docs/limits.md lists what the code declares.

use controller::limits::ControllerLimits;
use gateway::limits::GatewayLimits;
use limits::{Limit, markdown};
use translate::TranslationLimits;

/// The page with the tables of the code between its marks.
fn written(page: &str, tables: &[(&str, &[Limit])]) -> String {
    let mut page = page.to_owned();
    for (name, rows) in tables {
        let mark = format!("<!-- {name} -->\n");
        let start = page.find(&mark).unwrap_or_else(|| panic!("docs/limits.md has no {mark}")) + mark.len();
        let end = start + page[start..].find("<!-- end -->").expect("a mark at the end of a table");
        page.replace_range(start..end, &markdown(rows));
    }
    page
}

/// `UPDATE_DOCS=1` rewrites the page.
#[test]
fn limits_page_lists_every_limit_as_declared() {
    let path = sluice_tests::kube::mesh::project().join("docs/limits.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let tables: [(&str, &[Limit]); 3] = [
        ("translation", TranslationLimits::TABLE),
        ("controller", ControllerLimits::TABLE),
        ("gateway", GatewayLimits::TABLE),
    ];
    let wanted = written(&page, &tables);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
        return;
    }
    assert!(page == wanted, "docs/limits.md is not what the code says; UPDATE_DOCS=1 cargo test limits_page writes it");
}

#[test]
fn a_limit_has_one_name_in_each_program() {
    for tables in
        [[TranslationLimits::TABLE, ControllerLimits::TABLE], [TranslationLimits::TABLE, GatewayLimits::TABLE]]
    {
        let mut names: Vec<&str> = tables.into_iter().flatten().map(|limit| limit.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "a setting would be ambiguous: {names:?}");
    }
}

#[test]
fn defaults_are_within_their_ranges() {
    for limit in [TranslationLimits::TABLE, ControllerLimits::TABLE, GatewayLimits::TABLE].into_iter().flatten() {
        assert!((limit.least..=limit.most).contains(&limit.default), "{limit:?}");
        assert!(!limit.what.trim().is_empty() && !limit.beyond.is_empty(), "{limit:?}");
    }
}
