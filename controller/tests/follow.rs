//! The whole control plane on files, with a proxy that only takes notes.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use controller::discovery::{Applied, Push};
use controller::source::Paths;
use controller::{Controller, Event, Options, Severity};
use tokio::sync::mpsc;

fn virtual_service(name: &str, weight: u32) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  hosts: [{name}.test]\n  gateways: [istio-system/edge]\n  http:\n  - route:\n    - destination: {{host: web.test, subset: v1}}\n      weight: {weight}\n    - destination: {{host: web.test, subset: v2}}\n      weight: 10\n"
    )
}

const BASE: &str = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: istio-system}\nspec:\n  selector: {istio: ingressgateway}\n  servers:\n  - port: {number: 8080, protocol: HTTP, name: http}\n    hosts: ['*']\n---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: web, namespace: shop}\nspec:\n  hosts: [web.test]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  resolution: STATIC\n  endpoints:\n  - {address: 127.0.0.1, labels: {version: v1}}\n  - {address: 127.0.0.2, labels: {version: v2}}\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web, namespace: shop}\nspec:\n  host: web.test\n  subsets:\n  - {name: v1, labels: {version: v1}}\n  - {name: v2, labels: {version: v2}}\n";

/// The proxy's part: applies what it is told after a while and forgets nothing.
struct Proxy {
    events: mpsc::Receiver<Event>,
    pushes: mpsc::UnboundedReceiver<(u64, ir::Delta)>,
    resources: BTreeMap<ir::Key, ir::Encoded>,
}

impl Proxy {
    fn start(paths: &[&Path], delay: Duration) -> Self {
        let objects = paths.iter().map(|path| path.to_path_buf()).collect();
        let options = Options { paths: Paths { objects, mesh_config: None }, ..Options::default() };
        let controller = Controller::start(options).unwrap();
        let (push_sender, mut push_receiver) = mpsc::channel::<Push>(1);
        let (event_sender, events) = mpsc::channel(100);
        let (notes, pushes) = mpsc::unbounded_channel();
        tokio::spawn(controller.run(push_sender, event_sender));
        tokio::spawn(async move {
            while let Some(Push { sequence, delta, done }) = push_receiver.recv().await {
                tokio::time::sleep(delay).await;
                notes.send((sequence, delta)).unwrap();
                done.send(Applied::default()).unwrap();
            }
        });
        Self { events, pushes, resources: BTreeMap::new() }
    }

    async fn event(&mut self) -> Event {
        let event = tokio::time::timeout(Duration::from_secs(5), self.events.recv()).await.unwrap().unwrap();
        while let Ok((_, delta)) = self.pushes.try_recv() {
            for encoded in delta.changed {
                let before = self.resources.insert(encoded.key.clone(), encoded.clone());
                assert_ne!(before.map(|before| before.version), Some(encoded.version), "sent although it is the same");
            }
            for key in delta.removed {
                assert!(self.resources.remove(&key).is_some(), "{key} was never there");
            }
        }
        event
    }

    async fn quiet(&mut self) {
        let more = tokio::time::timeout(Duration::from_millis(150), self.events.recv()).await;
        assert!(more.is_err(), "{more:?}");
    }
}

fn names(keys: &[crds::ObjectKey]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_change_pushes_what_it_changes_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("base.yaml"), BASE).unwrap();
    fs::write(directory.path().join("web.yaml"), virtual_service("web", 90)).unwrap();
    let mut proxy = Proxy::start(&[directory.path()], Duration::ZERO);
    let first = proxy.event().await;
    assert!(first.first && first.added.len() == 4 && first.routes.total == 1, "{first:?}");
    let kinds: Vec<ir::Kind> = proxy.resources.keys().map(|key| key.kind).collect();
    for kind in [ir::Kind::Listener, ir::Kind::RouteTable, ir::Kind::RouteGroup, ir::Kind::Cluster, ir::Kind::Endpoints]
    {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }

    fs::write(directory.path().join("web.yaml"), virtual_service("web", 50)).unwrap();
    let event = proxy.event().await;
    assert_eq!(names(&event.changed), ["VirtualService shop/web"]);
    assert_eq!((event.resources_changed, event.resources_removed, event.routes.changed), (1, 0, 1), "{event:?}");
    assert!(event.took < Duration::from_millis(500));

    // A comment changes nothing.
    fs::write(directory.path().join("web.yaml"), format!("# note\n{}", virtual_service("web", 50))).unwrap();
    proxy.quiet().await;

    fs::remove_file(directory.path().join("web.yaml")).unwrap();
    let event = proxy.event().await;
    assert_eq!((names(&event.removed).len(), event.routes.removed, event.routes.total), (1, 1, 0), "{event:?}");
}

#[tokio::test]
async fn a_bad_edit_changes_nothing_and_heals() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("web.yaml");
    fs::write(directory.path().join("base.yaml"), BASE).unwrap();
    fs::write(&path, virtual_service("web", 90)).unwrap();
    let mut proxy = Proxy::start(&[directory.path()], Duration::ZERO);
    proxy.event().await;
    let before = proxy.resources.clone();

    fs::write(&path, virtual_service("web", 50).replace("weight: 50", "weight: fifty")).unwrap();
    let event = proxy.event().await;
    assert_eq!(names(&event.held), ["VirtualService shop/web"]);
    assert_eq!((event.errors, event.problems.len()), (1, 1));
    let problem = &event.problems[0];
    assert_eq!((problem.severity, problem.line, problem.column), (Severity::Error, 10, 15));
    assert_eq!(problem.field, "spec.http[0].route[0].weight");
    assert_eq!(proxy.resources, before);

    // Others go on.
    fs::write(directory.path().join("other.yaml"), virtual_service("other", 1)).unwrap();
    let event = proxy.event().await;
    assert_eq!(
        (names(&event.added), event.problems.len(), event.errors),
        (vec!["VirtualService shop/other".to_owned()], 0, 1)
    );

    fs::write(&path, virtual_service("web", 50)).unwrap();
    let event = proxy.event().await;
    assert_eq!((event.healed.len(), event.errors, event.changed.len()), (1, 0, 1));
}

#[tokio::test]
async fn one_edit_among_thousands_translates_one_virtual_service() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("base.yaml"), BASE).unwrap();
    for index in 0..2_000 {
        let name = format!("web{index}");
        fs::write(directory.path().join(format!("{name}.yaml")), virtual_service(&name, 90)).unwrap();
    }
    let mut proxy = Proxy::start(&[directory.path()], Duration::ZERO);
    let first = tokio::time::timeout(Duration::from_secs(60), proxy.event()).await.unwrap();
    assert_eq!((first.added.len(), first.routes.total), (2_003, 2_000));
    fs::write(directory.path().join("web1234.yaml"), virtual_service("web1234", 50)).unwrap();
    let event = proxy.event().await;
    assert_eq!(names(&event.changed), ["VirtualService shop/web1234"]);
    assert_eq!((event.units_run, event.resources_changed), (1, 1), "{event:?}");
}

#[tokio::test]
async fn what_happens_during_a_push_is_joined() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("web.yaml");
    fs::write(directory.path().join("base.yaml"), BASE).unwrap();
    fs::write(&path, virtual_service("web", 1)).unwrap();
    let mut proxy = Proxy::start(&[directory.path()], Duration::from_millis(300));
    proxy.event().await;
    for weight in 2..20 {
        fs::write(&path, virtual_service("web", weight)).unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut pushes = 0;
    while tokio::time::timeout(Duration::from_millis(700), proxy.event()).await.is_ok() {
        pushes += 1;
    }
    assert!((1..=4).contains(&pushes), "{pushes}");
    let key = ir::Key { kind: ir::Kind::RouteGroup, name: "shop/web".into() };
    let body = String::from_utf8(proxy.resources[&key].body.to_vec()).unwrap();
    assert!(body.contains("19"), "the last save is in force: {body}");
}

#[test]
fn problems_among_objects_come_move_and_go() {
    let mut engine =
        controller::Engine::new(translate::ProxyScope::default(), translate::TranslationLimits::default(), None);
    let mut step = |files: &[(&str, &str)]| {
        let changes = files.iter().map(|(path, text)| controller::FileChange::from_text(*path, text)).collect();
        let mut step = engine.step(changes);
        engine.judge(&mut step.event);
        let lines =
            |problems: &[controller::Diagnostic]| problems.iter().map(|it| (it.reason, it.line)).collect::<Vec<_>>();
        (lines(&step.event.problems), lines(&step.event.healed), lines(engine.problems()))
    };
    let web = virtual_service("web", 90);
    let without_entry: String = BASE.replace("hosts: [web.test]", "hosts: [else.test]");
    let (new, healed, all) = step(&[("base.yaml", &without_entry), ("web.yaml", &web)]);
    assert!(new.contains(&("UnknownHost", 9)) && healed.is_empty() && new == all, "{new:?} {all:?}");
    let (new, healed, all) = step(&[("web.yaml", &format!("# moved\n\n{web}"))]);
    assert_eq!((new.len(), healed.len()), (0, 0), "the same problem in another line is not a new one");
    assert!(all.contains(&("UnknownHost", 11)), "{all:?}");
    let (new, healed, all) = step(&[("base.yaml", BASE)]);
    assert!(
        new.is_empty()
            && healed.contains(&("UnknownHost", 11))
            && !all.iter().any(|(reason, _)| *reason == "UnknownHost")
    );
    let (new, _, _) = step(&[("copy.yaml", &web)]);
    assert_eq!(new, [("DuplicateObject", 5)], "the later file is told");
    let (_, healed, all) = step(&[("copy.yaml", "")]);
    assert_eq!((healed, all.len()), (vec![("DuplicateObject", 5)], 0));
}
