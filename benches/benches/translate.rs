//! What translating costs, by the number of services: everything at once, and one edit among all. A service has a
//! VirtualService, a ServiceEntry and a DestinationRule.

use divan::Bencher;
use sluice_benches::{control, shop};
use translate::Change;

const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// Different edits, made again and again.
const EDITS: usize = 1_000;

fn main() {
    divan::main();
}

fn shop_of(services: usize) -> Vec<Change> {
    let texts = std::iter::once(shop::GATEWAY.to_owned()).chain((0..services).map(|number| shop::service(number, 0)));
    texts.flat_map(|text| control::objects(&text)).collect()
}

/// Texts to objects, which comes before everything else.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn read(bencher: Bencher<'_, '_>, services: usize) {
    let texts: Vec<String> = (0..services).map(|number| shop::service(number, 0)).collect();
    bencher.bench_local(|| texts.iter().flat_map(|text| control::objects(text)).count());
}

/// Objects to resources, from nothing.
#[divan::bench(args = SIZES, sample_count = 10, sample_size = 1)]
fn full(bencher: Bencher<'_, '_>, services: usize) {
    let objects = shop_of(services);
    bencher.with_inputs(|| objects.clone()).bench_local_values(|objects| {
        let (control, update) = control::start(objects);
        // Three rules and two subsets each, a listener with its table, and the settings.
        assert_eq!(update.changed.len(), 5 * services + 3);
        (control, update)
    });
}

/// Other weights in one VirtualService.
#[divan::bench(args = SIZES)]
fn edit_weight(bencher: Bencher<'_, '_>, services: usize) {
    edit(bencher, services, shop::virtual_service);
}

/// Another endpoint in one ServiceEntry.
#[divan::bench(args = SIZES)]
fn edit_endpoint(bencher: Bencher<'_, '_>, services: usize) {
    edit(bencher, services, shop::service_entry);
}

fn edit(bencher: Bencher<'_, '_>, services: usize, object: fn(usize, usize) -> String) {
    let (mut control, _) = control::start(shop_of(services));
    // Strides without common factors: neighbours are in no cache, and nothing is ever saved as it was.
    let edits: Vec<Vec<Change>> =
        (0..EDITS).map(|at| control::objects(&object(at * 7_919 % services, at + 1))).collect();
    let mut next = edits.iter().cycle();
    bencher.with_inputs(|| next.next().cloned().unwrap_or_default()).bench_local_values(|changes| {
        let update = control.apply(changes);
        assert_eq!(update.changed.len(), 1);
        update
    });
}
