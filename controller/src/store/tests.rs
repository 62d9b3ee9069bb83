//! Texts of files in, objects in force out.

use super::*;
use crate::source::Content;

fn service_entry(name: &str, host: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  hosts: [{host}]\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  resolution: DNS\n"
    )
}

/// What a step did, as `+`, `~`, `-` and `!` (held) with names.
fn step(store: &mut Store, files: &[(&str, &str)]) -> String {
    let changes = files.iter().map(|(path, text)| FileChange::from_text(*path, text)).collect();
    tell(store.apply(changes))
}

fn tell(step: StoreChange) -> String {
    let StoreChange { changes, added, changed, removed, held, touched: _ } = step;
    assert_eq!(changes.len(), added.len() + changed.len() + removed.len());
    let marks = [("+", added), ("~", changed), ("-", removed), ("!", held)];
    let words: Vec<String> = marks
        .into_iter()
        .flat_map(|(mark, keys)| keys.into_iter().map(move |key| format!("{mark}{}", key.name)))
        .collect();
    words.join(" ")
}

fn problems(store: &Store) -> Vec<String> {
    store.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn objects_follow_their_documents() {
    let mut store = Store::default();
    let [a, b] = [service_entry("a", "a.test"), service_entry("b", "b.test")];
    assert_eq!(step(&mut store, &[("f.yaml", &format!("{a}---\n{b}"))]), "+a +b");
    assert_eq!(step(&mut store, &[("f.yaml", &format!("# moved\n{b}---\n{a}"))]), "");
    assert_eq!(step(&mut store, &[("f.yaml", &format!("{}---\n{b}", service_entry("a", "c.test")))]), "~a");
    assert_eq!(step(&mut store, &[("f.yaml", &b)]), "-a");
    assert_eq!(tell(store.apply(vec![FileChange { path: "f.yaml".into(), content: Content::Gone }])), "-b");
    assert!(store.is_empty());
}

#[test]
fn an_object_may_move_between_files() {
    let mut store = Store::default();
    let a = service_entry("a", "a.test");
    step(&mut store, &[("1.yaml", &a)]);
    assert_eq!(step(&mut store, &[("1.yaml", ""), ("2.yaml", &a)]), "");
    assert_eq!(store.len(), 1);
}

#[test]
fn a_mistake_keeps_the_last_good_version_of_its_object_only() {
    let mut store = Store::default();
    let [a, b] = [service_entry("a", "a.test"), service_entry("b", "b.test")];
    step(&mut store, &[("f.yaml", &format!("{a}---\n{b}"))]);
    let bad = a.replace("hosts", "hots");
    assert_eq!(step(&mut store, &[("f.yaml", &format!("{bad}---\n{}", service_entry("b", "c.test")))]), "~b !a");
    assert_eq!(
        problems(&store),
        ["f.yaml:5:3: error: ServiceEntry shop/a: spec.hots: unknown field; did you mean \"hosts\"?"]
    );
    assert_eq!(store.len(), 2);
    assert_eq!(step(&mut store, &[("f.yaml", &format!("{a}---\n{b}"))]), "~b");
    assert_eq!(problems(&store), Vec::<String>::new());
    assert_eq!(step(&mut store, &[("f.yaml", &bad)]), "-b !a");
    assert_eq!(step(&mut store, &[("f.yaml", "")]), "-a");
}

#[test]
fn what_was_never_good_contributes_nothing() {
    let mut store = Store::default();
    assert_eq!(step(&mut store, &[("f.yaml", &service_entry("a", "a.test").replace("hosts", "hots"))]), "!a");
    assert!(store.is_empty());
    assert_eq!(step(&mut store, &[("f.yaml", &service_entry("a", "a.test"))]), "+a");
}

#[test]
fn an_object_that_fails_validation_is_held_too() {
    let mut store = Store::default();
    let good = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n  hosts: [a.test]\n  gateways: [g]\n  http: [{directResponse: {status: 200}}]\n";
    assert_eq!(step(&mut store, &[("f.yaml", good)]), "+a");
    let bad = good.lines().take(6).collect::<Vec<_>>().join("\n");
    assert_eq!(step(&mut store, &[("f.yaml", &bad)]), "!a");
    let problems = store.problems();
    assert_eq!(
        (problems.len(), problems[0].severity, problems[0].object.as_deref()),
        (1, Severity::Error, Some("VirtualService shop/a"))
    );
    assert!(problems[0].line > 0 && problems[0].excerpt.is_some());
}

#[test]
fn a_text_without_structure_keeps_everything_it_no_longer_shows() {
    let mut store = Store::default();
    let [a, b, c] = [service_entry("a", "a.test"), service_entry("b", "b.test"), service_entry("c", "c.test")];
    step(&mut store, &[("f.yaml", &format!("{a}---\n{b}---\n{c}"))]);
    let broken = b.replace("hosts: [", "hosts: ]");
    assert_eq!(step(&mut store, &[("f.yaml", &format!("{a}---\n{broken}"))]), "!b !c");
    assert_eq!(store.len(), 3);
    // Still as unclear as before.
    assert_eq!(step(&mut store, &[("f.yaml", &broken)]), "!a !b !c");
    assert_eq!(step(&mut store, &[("f.yaml", &format!("{a}---\n{b}"))]), "-c");
    let unreadable =
        FileChange { path: "f.yaml".into(), content: Content::Unreadable { why: "permission denied".into() } };
    assert_eq!(tell(store.apply(vec![unreadable])), "!a !b");
    assert_eq!(problems(&store), ["f.yaml: error: the file cannot be read: permission denied"]);
}

#[test]
fn the_first_of_two_files_wins_and_the_other_is_told() {
    let mut store = Store::default();
    let [one, two] = [service_entry("a", "one.test"), service_entry("a", "two.test")];
    assert_eq!(step(&mut store, &[("2.yaml", &two)]), "+a");
    assert_eq!(step(&mut store, &[("1.yaml", &one)]), "~a");
    assert_eq!(
        problems(&store),
        [
            "2.yaml:3:18: error: ServiceEntry shop/a: metadata.name: the same object is already in 1.yaml, which comes first; this one is not used"
        ]
    );
    assert_eq!(step(&mut store, &[("1.yaml", "")]), "~a");
    assert_eq!(problems(&store), Vec::<String>::new());
    assert_eq!(step(&mut store, &[("2.yaml", &format!("{two}---\n{one}"))]), "");
    assert_eq!(
        problems(&store),
        [
            "2.yaml:11:18: error: ServiceEntry shop/a: metadata.name: the same object is already in line 3, which comes first; this one is not used"
        ]
    );
}

#[test]
fn kinds_that_are_not_used_are_named_once() {
    let mut store = Store::default();
    let deployment = |name: &str| format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\n");
    step(
        &mut store,
        &[("a.yaml", &deployment("x")), ("b.yaml", &format!("{}---\n{}", deployment("y"), deployment("z")))],
    );
    assert_eq!(
        problems(&store),
        [
            "a.yaml:2:7: note: Deployment x: kind Deployment (apps/v1) is not used here and is skipped; there are 3 of it"
        ]
    );
}

#[test]
fn objects_can_be_adjusted_before_they_are_judged() {
    let adjust: Adjust = Arc::new(|object: &mut Object| object.meta.labels.clear());
    let mut store = Store::new(Some(adjust));
    let text = service_entry("a", "a.test").replace("name: a,", "name: a, labels: {app: web},");
    step(&mut store, &[("f.yaml", &text)]);
    let key = ObjectKey::new(crds::ObjectKind::ServiceEntry, "shop", "a");
    assert!(store.get(&key).unwrap().meta.labels.is_empty());
}

#[test]
fn mistakes_in_a_mesh_config_have_their_own_places() {
    let mut store = Store::default();
    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n";
    step(&mut store, &[("f.yaml", &format!("{head}    enableTracing: maybe\n    rootNamespace: 1\n"))]);
    assert_eq!(
        problems(&store),
        [
            "f.yaml:6:20: error: ConfigMap istio-system/istio: data.mesh.enableTracing: expected true or false, found the text \"maybe\"; the last good mesh configuration stays in force",
            "f.yaml:7:20: error: ConfigMap istio-system/istio: data.mesh.rootNamespace: expected text, found the number 1; put it in quotes; the last good mesh configuration stays in force",
        ]
    );
    step(&mut store, &[("f.yaml", &format!("{head}    a: [\n"))]);
    assert!(
        problems(&store)[0].starts_with("f.yaml:6:5: error: ConfigMap istio-system/istio: data.mesh: line "),
        "{:?}",
        problems(&store)
    );
}
