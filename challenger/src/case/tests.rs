//! Cases share their runs, and published data stand under their own roots.

use inference::Honest;

use super::*;
use crate::testing::models::{engine, floats, ladder};

#[test]
fn clones_and_later_publications_share_one_run() {
    let case = Case::of_run(ladder(1).honest(), Arc::default());
    let published = Published { state_roots: vec![Digest::default()], ..Published::default() };
    let later = case.clone().with_published(Arc::new(published));
    assert!(Arc::ptr_eq(&case.run, &later.run));
    assert!(std::ptr::eq(case.run(), later.run()));
    assert_eq!(later.published.state_roots, [Digest::default()]);
    assert!(case.published.state_roots.is_empty());
}

#[test]
fn a_case_made_of_its_parts_is_that_of_the_run() {
    let network = ladder(2);
    let run = network.honest();
    let trace = run.trace().clone();
    let model = Arc::clone(&network.model);
    let case =
        Case::new(engine(), Arc::clone(&model), Arc::new(Honest), trace, Published::default());
    assert_eq!(case.trace().root(), run.trace().root());
    assert!(Arc::ptr_eq(case.model(), &model));
    // The runner computes the model's layers again.
    let before = case.trace().state(1).unwrap();
    let again = case.runner().subtrace(1, before).unwrap();
    assert_eq!(again.roots(), run.inside(1).unwrap().roots());
}

#[test]
fn elements_and_trees_outside_the_model_are_none() {
    let run = ladder(1).honest();
    let case = Case::of_run(Arc::clone(&run), Arc::default());
    let output = run.output(2).unwrap();
    assert_eq!(case.own_element(2, 149), output.bits(149));
    assert_eq!(case.own_element(2, 150), None);
    assert_eq!(case.own_element(3, 0), None);
    assert_eq!(case.output_tree(2).map(Tree::root), output.tree::<Keccak>().map(|one| one.root()));
    assert!(case.output_tree(3).is_none());
}

#[test]
fn a_published_tensor_stands_under_its_root() {
    let mut published = Published::<Keccak>::default();
    let (one, other) = (floats(&[3], 1), floats(&[3], 2));
    published.add(one.clone());
    published.add(other);
    assert_eq!(published.tensors.len(), 2);
    assert_eq!(published.tensors.get(&one.root()), Some(&one));
}
