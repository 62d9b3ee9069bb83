//! What a controller has made for itself goes with its installation, and what others made or plugged in does not.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use sluice_tests::kube::mesh::Mesh;
use sluice_tests::kube::{ControlPlane, Setup};
use sluice_tests::wait::until_within;

const ROOTS: &str = "istio-ca-root-cert";
const AUTHORITY: &str = "istio-ca-secret";
const LEASE: &str = "sluice-leader";
const PATIENCE: Duration = Duration::from_secs(60);

/// What is there of what the controller makes: roots in two namespaces, its authority, its Lease.
async fn made(client: &Client, control: &str, other: &str) -> [bool; 4] {
    let maps = |namespace: &str| Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), control);
    let leases: Api<Lease> = Api::namespaced(client.clone(), control);
    [
        maps(control).get_opt(ROOTS).await.unwrap().is_some(),
        maps(other).get_opt(ROOTS).await.unwrap().is_some(),
        secrets.get_opt(AUTHORITY).await.unwrap().is_some(),
        leases.get_opt(LEASE).await.unwrap().is_some(),
    ]
}

async fn until_made(client: &Client, control: &str, other: &str, wanted: [bool; 4]) {
    until_within(&format!("there is {wanted:?}"), PATIENCE, async || {
        (made(client, control, other).await == wanted).then_some(())
    })
    .await;
}

async fn role_of(mesh: &Mesh<'_>) -> (Api<ClusterRole>, ClusterRole) {
    let roles: Api<ClusterRole> = Api::all(mesh.plane.admin());
    let role = roles.get(&format!("sluice-controller-{}", mesh.namespace)).await.unwrap();
    (roles, role)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_controller_made_goes_with_it() {
    let plane = &ControlPlane::start().await;
    let mesh = Mesh::install(plane).await;
    let control = mesh.namespace.as_str();
    let other = plane.namespace().await;
    let admin = plane.admin();
    // An installation without an owner: as those before, or where somebody else makes the roles.
    let nobody = controller::cluster::ClusterOptions { owner: None, ..mesh.options("controller-0") };
    let running = mesh.controller_with(nobody).await;
    until_made(&admin, control, &other, [true; 4]).await;
    running.end().await;
    let maps: Api<ConfigMap> = other.api();
    assert_eq!(maps.get(ROOTS).await.unwrap().owner_references(), []);

    // The next one makes all of that its own, and keeps what it was.
    let secrets: Api<Secret> = Api::namespaced(admin.clone(), control);
    let before = secrets.get(AUTHORITY).await.unwrap();
    let running = mesh.controller().await;
    let (roles, role) = role_of(&mesh).await;
    let leases: Api<Lease> = Api::namespaced(admin.clone(), control);
    let owned = |references: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference]| {
        references.len() == 1 && Some(&references[0].uid) == role.metadata.uid.as_ref()
    };
    until_within("everything has its owner", PATIENCE, async || {
        let is_owned = owned(maps.get(ROOTS).await.unwrap().owner_references())
            && owned(secrets.get(AUTHORITY).await.unwrap().owner_references())
            && owned(leases.get(LEASE).await.unwrap().owner_references());
        is_owned.then_some(())
    })
    .await;
    assert_eq!(secrets.get(AUTHORITY).await.unwrap().data, before.data);
    let leader = running.leadership().clone();
    until_within("it leads", PATIENCE, async || leader.holds().then_some(())).await;

    // The root is kept by plugging it in, which is the user's.
    let kept = Secret {
        metadata: ObjectMeta { name: Some("cacerts".to_owned()), ..ObjectMeta::default() },
        data: before.data.clone(),
        ..Secret::default()
    };
    secrets.create(&PostParams::default(), &kept).await.unwrap();
    let roots = running.roots_pem();

    // helm ends the pods first. The garbage collector knows an owner for dead when it has seen it live, or asks.
    running.end().await;
    plane.controller_manager().await;
    roles.delete(&role.name_any(), &DeleteParams::default()).await.unwrap();
    until_made(&admin, control, &other, [false; 4]).await;
    assert_eq!(secrets.get("cacerts").await.unwrap().owner_references(), []);

    // Installed again it goes on with the root that was kept, and makes none.
    let again = Mesh::install_in(plane, mesh.namespace.clone()).await;
    let running = again.controller().await;
    until_made(&admin, control, &other, [true, true, false, true]).await;
    assert_eq!(running.roots_pem(), roots);
    running.end().await;
    let (roles, role) = role_of(&again).await;
    roles.delete(&role.name_any(), &DeleteParams::default()).await.unwrap();
    until_made(&admin, control, &other, [false; 4]).await;
    assert!(secrets.get_opt("cacerts").await.unwrap().is_some(), "what the user plugged in stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_istio_made_stays_istios() {
    let plane = &ControlPlane::start().await;
    let first = Mesh::install(plane).await;
    let second = plane.namespace().await;
    let admin = plane.admin();
    // Made by another control plane, under the names that both use.
    let running = first.controller().await;
    let control = first.namespace.as_str();
    until_made(&admin, control, &second, [true; 4]).await;
    running.end().await;
    let (roots, secrets) =
        (Api::<ConfigMap>::namespaced(admin.clone(), &second), Api::<Secret>::namespaced(admin.clone(), control));
    let map = roots.get(ROOTS).await.unwrap();
    let text = map.data.as_ref().unwrap()["root-cert.pem"].clone();
    let authority = secrets.get(AUTHORITY).await.unwrap();
    roots.delete(ROOTS, &DeleteParams::default()).await.unwrap();
    secrets.delete(AUTHORITY, &DeleteParams::default()).await.unwrap();
    let istio = PostParams { field_manager: Some("pilot-discovery".to_owned()), ..PostParams::default() };
    let named = |name: &str| ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    // The same roots in other words.
    let text = format!("# Istio's\r\n{}\n", text.replace('\n', "\r\n"));
    let data = [("root-cert.pem".to_owned(), text.clone())].into();
    let map = ConfigMap { metadata: named(ROOTS), data: Some(data), ..ConfigMap::default() };
    roots.create(&istio, &map).await.unwrap();
    secrets.create(&istio, &Secret { metadata: named(AUTHORITY), ..authority }).await.unwrap();

    let running = first.controller().await;
    let leader = running.leadership().clone();
    until_within("it leads", PATIENCE, async || leader.holds().then_some(())).await;
    let others = plane.namespace().await;
    until_made(&admin, control, &others, [true; 4]).await;
    running.end().await;
    let kept = roots.get(ROOTS).await.unwrap();
    assert_eq!((kept.data.unwrap()["root-cert.pem"].as_str(), kept.metadata.owner_references), (text.as_str(), None));
    assert_eq!(secrets.get(AUTHORITY).await.unwrap().metadata.owner_references, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_owners_may_not_be_changed_everything_else_goes_on() {
    let strict = vec!["--enable-admission-plugins=OwnerReferencesPermissionEnforcement".to_owned()];
    let plane = &ControlPlane::start_with(Setup { api_server: strict, ..Setup::default() }).await;
    let mesh = Mesh::install(plane).await;
    let control = mesh.namespace.as_str();
    let (before, admin) = (plane.namespace().await, plane.admin());
    let nobody = controller::cluster::ClusterOptions { owner: None, ..mesh.options("controller-0") };
    let running = mesh.controller_with(nobody).await;
    until_made(&admin, control, &before, [true; 4]).await;
    let roots = running.roots_pem();
    running.end().await;

    let running = mesh.controller().await;
    assert_eq!(running.roots_pem(), roots);
    let leader = running.leadership().clone();
    until_within("it leads", PATIENCE, async || leader.holds().then_some(())).await;
    // What it makes may have an owner; what was there without one is kept right all the same.
    let after = plane.namespace().await;
    let owners = async |namespace: &str| {
        let maps = Api::<ConfigMap>::namespaced(admin.clone(), namespace);
        let map = maps.get_opt(ROOTS).await.unwrap()?;
        (map.data.as_ref()?["root-cert.pem"] == roots).then(|| map.owner_references().len())
    };
    assert_eq!(until_within("roots in a new namespace", PATIENCE, async || owners(&after).await).await, 1);
    let maps: Api<ConfigMap> = before.api();
    let edit = json!({"data": {"root-cert.pem": "edited"}});
    maps.patch(ROOTS, &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();
    assert_eq!(until_within("roots are right again", PATIENCE, async || owners(&before).await).await, 0);
    running.end().await;
    let refused = plane.calls(&format!("system:serviceaccount:{control}:sluice-controller"));
    assert!(refused.iter().any(|call| call.code == 403 && call.name == ROOTS), "nothing was refused");
}
