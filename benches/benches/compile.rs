//! What the proxy does with what it is told, by the number of route groups: decode and compile everything at once, and
//! one changed group among all. A group is what a VirtualService becomes.

use divan::Bencher;
use gateway::table::compile::Compiler;
use ir::Delta;
use sluice_benches::control::{self, Control};
use sluice_benches::shop;

const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// Different changes, made again and again.
const EDITS: usize = 100;

fn main() {
    divan::main();
}

/// Everything, and then one change after the other.
struct Told {
    first: Delta,
    edits: Vec<Delta>,
}

fn told(texts: impl Iterator<Item = String>, edit: impl Fn(usize) -> String) -> Told {
    let texts = std::iter::once(shop::GATEWAY.to_owned()).chain(texts);
    let (mut control, update) = control::start(texts.flat_map(|text| control::objects(&text)).collect());
    let step = |control: &mut Control, at: usize| {
        let delta = control::delta(&control.apply(control::objects(&edit(at))));
        assert_eq!(delta.changed.len(), 1, "an edit changes one group");
        delta
    };
    let edits = (1..=EDITS).map(|at| step(&mut control, at)).collect();
    Told { first: control::delta(&update), edits }
}

/// A host for every group, with clusters and endpoints.
fn hosts_each(count: usize) -> Told {
    told((0..count).map(|number| shop::service(number, 0)), |at| shop::virtual_service(at * 7_919 % count, at))
}

/// One host to which every group adds a rule.
fn host_shared(count: usize) -> Told {
    told((0..count).map(|number| shop::sharing(number, 0)), |at| shop::sharing(at * 7_919 % count, at))
}

/// One group with all rules of a host.
fn one_group(count: usize) -> Told {
    told(std::iter::once(shop::big(count, 0)), |at| shop::big(count, at))
}

fn full(bencher: Bencher<'_, '_>, told: &Told) {
    bencher.with_inputs(Compiler::default).bench_local_values(|mut compiler| {
        let compiled = compiler.apply(&told.first);
        assert!(compiled.rejected.is_empty());
        (compiler, compiled)
    });
}

fn change(bencher: Bencher<'_, '_>, told: &Told) {
    let mut compiler = Compiler::default();
    // The table in force, which a running proxy holds while the next one is made.
    let mut table = compiler.apply(&told.first).table;
    let mut next = told.edits.iter().cycle();
    bencher.with_inputs(|| next.next().cloned().unwrap_or_default()).bench_local_values(|delta| {
        let compiled = compiler.apply(&delta);
        assert!(compiled.rejected.is_empty());
        table = compiled.table;
    });
    assert!(table.generation() > 1);
}

macro_rules! shape {
    ($name:ident, $sizes:expr) => {
        mod $name {
            use super::*;

            #[divan::bench(args = $sizes, sample_count = 10, sample_size = 1)]
            fn full(bencher: Bencher<'_, '_>, count: usize) {
                super::full(bencher, &super::$name(count));
            }

            #[divan::bench(args = $sizes, max_time = 2)]
            fn change(bencher: Bencher<'_, '_>, count: usize) {
                super::change(bencher, &super::$name(count));
            }
        }
    };
}

shape!(hosts_each, SIZES);
shape!(host_shared, SIZES);
// Making the texts and translating them is most of the work here.
shape!(one_group, [10, 1_000]);
