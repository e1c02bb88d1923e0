//! Views share their runs, and published data stand under their own roots.

use inference::Honest;
use protocol::hash::Keccak;
use protocol::roots::sequence_tree;

use super::*;
use crate::testing::models::{engine, floats, ladder};

#[test]
fn clones_and_later_publications_share_one_run() {
    let honest_view = HonestView::of_run(ladder(1).honest(), Arc::default());
    let published =
        Announcement { state_roots: vec![Digest::default()], ..Announcement::default() };
    let later = honest_view.clone().with_announced(Arc::new(published));
    let (AnyRun::Whole(run), AnyRun::Whole(same)) = (honest_view.run(), later.run()) else {
        panic!()
    };
    assert!(Arc::ptr_eq(run, same));
    assert_eq!(later.announced.state_roots, [Digest::default()]);
    assert!(honest_view.announced.state_roots.is_empty());
}

#[test]
fn a_case_made_of_its_parts_is_that_of_the_run() {
    let network = ladder(2);
    let run = network.honest();
    let trace = run.trace().clone();
    let model = Arc::clone(&network.model);
    let honest_view = HonestView::new(
        engine(),
        Arc::clone(&model),
        Arc::new(Honest),
        Outcome::Whole(trace),
        Announcement::default(),
    );
    let sequence = sequence_tree::<Keccak>(&[run.trace().root()]).unwrap();
    assert_eq!(honest_view.truth(), Truth::Root(sequence.root()));
    assert!(Arc::ptr_eq(honest_view.model(), &model));
    // The runner computes the model's layers again.
    let before = honest_view.run().state(1).unwrap();
    let again = honest_view.runner().subtrace(1, before).unwrap();
    assert_eq!(again.roots(), run.inside(1).unwrap().roots());
}

#[test]
fn elements_outside_the_model_are_none() {
    let run = ladder(1).honest();
    let honest_view = HonestView::of_run(Arc::clone(&run), Arc::default());
    let output = run.output(2).unwrap();
    assert_eq!(honest_view.own_element(2, 149), output.bits(149));
    assert_eq!(honest_view.own_element(2, 150), None);
    assert_eq!(honest_view.own_element(3, 0), None);
}

#[test]
fn a_published_tensor_stands_under_its_root() {
    let mut published = Announcement::<Keccak>::default();
    let (one, other) = (floats(&[3], 1), floats(&[3], 2));
    published.add(one.clone());
    published.add(other);
    assert_eq!(published.tensors.len(), 2);
    assert_eq!(published.tensors.get(&one.root()), Some(&one));
}
