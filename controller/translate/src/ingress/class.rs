//! Which Ingresses are ours: annotation, IngressClass, or no class at all, as the mesh's mode says.

use crds::mesh_config::IngressControllerMode;
use crds::object::ingress::IngressSpec;
use crds::{MeshConfig, Meta};

use super::place;
use crate::unit::Context;
use crate::world::{Typed, View};

/// The older way to name a class; it beats `ingressClassName`.
const ANNOTATION: &str = "kubernetes.io/ingress.class";
/// Controllers of IngressClasses that are ours: Istio's, whose objects are to work unchanged, and our own.
const CONTROLLERS: [&str; 2] = ["istio.io/ingress-controller", "sluice.dev/ingress-controller"];
/// The class where the mesh configuration names none.
const DEFAULT: &str = "istio";
/// Means the same as the default.
const ALIAS: &str = "sluice";

/// Whose an Ingress is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner<'a> {
    Ours,
    /// Another controller's, or nobody's because none is wanted.
    Other,
    /// It names no class, and such ones are not served.
    Unnamed,
    /// There is no IngressClass of that name.
    Unknown(&'a str),
}

pub(super) fn owner<'a>(view: &View<'_, '_>, mesh: &MeshConfig, ingress: Typed<'a, IngressSpec>) -> Owner<'a> {
    let Typed { meta, spec } = ingress;
    if mesh.ingress_controller_mode == IngressControllerMode::Off {
        return Owner::Other;
    }
    let ours_if = |ours: bool| if ours { Owner::Ours } else { Owner::Other };
    if let Some(class) = annotation(meta) {
        return ours_if(is_our_name(mesh, class));
    }
    let Some(class) = spec.ingress_class_name.as_deref().filter(|class| !class.is_empty()) else {
        let takes_all = mesh.ingress_controller_mode == IngressControllerMode::Default;
        return if takes_all { Owner::Ours } else { Owner::Unnamed };
    };
    match view.ingress_class(class) {
        Some(class) => ours_if(class.spec.controller.as_deref().is_some_and(|name| CONTROLLERS.contains(&name))),
        None if is_our_name(mesh, class) => Owner::Ours,
        None => Owner::Unknown(class),
    }
}

/// Those of these that are ours.
pub(super) fn ours<'a>(
    view: &View<'_, '_>,
    mesh: &MeshConfig,
    ingresses: Vec<Typed<'a, IngressSpec>>,
) -> impl Iterator<Item = Typed<'a, IngressSpec>> {
    ingresses.into_iter().filter(|ingress| owner(view, mesh, *ingress) == Owner::Ours)
}

/// Whether the proxy asked about serves an Ingress.
pub(crate) fn is_served(context: &Context<'_, '_>, ingress: Typed<'_, IngressSpec>) -> bool {
    let mesh = &context.mesh.config;
    place::is_selected(mesh, context.proxy) && owner(&context.view, mesh, ingress) == Owner::Ours
}

fn annotation(meta: &Meta) -> Option<&str> {
    meta.annotations.get(ANNOTATION).map(String::as_str)
}

/// Whether a name stands for us without an IngressClass. One that the mesh sets apart is the only one, since several
/// gateways may share the cluster.
fn is_our_name(mesh: &MeshConfig, name: &str) -> bool {
    match mesh.ingress_class.as_deref().filter(|class| !class.is_empty()) {
        None | Some(DEFAULT) => name == DEFAULT || name == ALIAS,
        Some(class) => name == class,
    }
}
