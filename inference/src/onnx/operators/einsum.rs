//! Einsum: diagonals, sums and products of axes, as transposes and one contraction for each operand.

use std::collections::BTreeMap;

use protocol::graph::{Fold, MapFunction as F};
use protocol::tensor::ElementType;

use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::movement::drop_axes;
use crate::onnx::places::places;
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// A value with a letter for each axis.
struct Labelled {
    value: Value,
    letters: Vec<char>,
}

/// Letters that stand for the axes of an ellipsis: no equation can hold them.
const ELLIPSIS: [char; 8] = ['0', '1', '2', '3', '4', '5', '6', '7'];

fn letters_of(text: &str, rank: usize) -> Lowered<Vec<char>> {
    let plain: String = text.chars().filter(|one| !one.is_whitespace()).collect();
    let named = plain.chars().filter(|one| one.is_ascii_alphabetic()).count();
    let hidden = rank.checked_sub(named).filter(|hidden| *hidden <= ELLIPSIS.len());
    let hidden = hidden.ok_or("a term has more letters than its operand has axes")?;
    let dots: String = ELLIPSIS[ELLIPSIS.len() - hidden..].iter().collect();
    let letters: Vec<char> = plain.replace("...", &dots).chars().collect();
    if letters.len() == rank && letters.iter().all(|one| one.is_ascii_alphanumeric()) {
        Ok(letters)
    } else {
        Err(format!("the term {text:?} does not fit an operand of rank {rank}"))
    }
}

/// Axes in the order wanted, axes of size 1 where there are none.
fn arranged(builder: &mut Builder, one: &Labelled, wanted: &[char]) -> Lowered<Value> {
    let order: Vec<usize> = wanted
        .iter()
        .filter_map(|letter| one.letters.iter().position(|other| other == letter))
        .collect();
    let moved = builder.transpose(&one.value, &order)?;
    let mut rest = moved.dimensions().iter();
    let dimensions: Vec<u64> = wanted
        .iter()
        .map(
            |letter| {
                if one.letters.contains(letter) { rest.next().copied().unwrap_or(1) } else { 1 }
            },
        )
        .collect();
    builder.reshape(&moved, &dimensions)
}

/// Sums away letters that nobody else needs.
fn summed(builder: &mut Builder, one: Labelled, needed: &[char]) -> Lowered<Labelled> {
    let axes: Vec<usize> =
        (0..one.letters.len()).filter(|axis| !needed.contains(&one.letters[*axis])).collect();
    if axes.is_empty() {
        return Ok(one);
    }
    let sum = builder.reduce_keep(Fold::Sum, &one.value, &axes)?;
    let value = drop_axes(builder, &sum, &axes)?;
    let kept = one.letters.into_iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
    Ok(Labelled { value, letters: kept.map(|(_, letter)| letter).collect() })
}

/// A letter twice in one term: only where both axes agree.
fn diagonal(builder: &mut Builder, mut one: Labelled) -> Lowered<Labelled> {
    while let Some((first, second)) = (0..one.letters.len())
        .flat_map(|a| (a + 1..one.letters.len()).map(move |b| (a, b)))
        .find(|(a, b)| one.letters[*a] == one.letters[*b])
    {
        let (rank, size) = (one.value.rank(), one.value.dimensions()[first]);
        let a = places(builder, rank, first, size)?;
        let b = places(builder, rank, second, one.value.dimensions()[second])?;
        let same = builder.map(F::Equal, &[&a, &b])?;
        let zero = builder.scalar_of(one.value.element(), 0.0)?;
        let kept = builder.map(F::Select, &[&same, &one.value, &zero])?;
        let sum = builder.reduce_keep(Fold::Sum, &kept, &[second])?;
        one.value = drop_axes(builder, &sum, &[second])?;
        one.letters.remove(second);
    }
    Ok(one)
}

/// Einsum.
pub(super) fn einsum(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let equation = node.attributes.text("equation", "");
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let operands: Vec<&Value> = node.all().collect();
    let terms: Vec<&str> = left.split(',').collect();
    if terms.len() != operands.len() {
        return Err("the equation has not one term for each operand".to_owned());
    }
    let mut parts = Vec::new();
    for (term, operand) in terms.iter().zip(&operands) {
        let letters = letters_of(term, operand.rank())?;
        parts.push(diagonal(builder, Labelled { value: (*operand).clone(), letters })?);
    }
    let output = output_letters(left, right, &parts)?;
    let mut parts = parts.into_iter();
    let mut result = parts.next().ok_or("no operands")?;
    let rest: Vec<Labelled> = parts.collect();
    for (place, next) in rest.iter().enumerate() {
        let mut needed = output.clone();
        rest[place + 1..].iter().for_each(|other| needed.extend(&other.letters));
        let next = Labelled { value: next.value.clone(), letters: next.letters.clone() };
        result = product(builder, result, next, &needed)?;
    }
    let result = summed(builder, result, &output)?;
    arranged(builder, &result, &output)
}

/// The letters of the output: those after the arrow; without one the ellipsis, then letters that
/// stand once, in order.
fn output_letters(left: &str, right: Option<&str>, parts: &[Labelled]) -> Lowered<Vec<char>> {
    let dots =
        parts.iter().map(|part| part.letters.iter().filter(|one| one.is_ascii_digit()).count());
    let dots = dots.max().unwrap_or(0);
    if let Some(right) = right {
        let named = right.chars().filter(char::is_ascii_alphabetic).count();
        return letters_of(right, named + if right.contains("...") { dots } else { 0 });
    }
    let mut counts: BTreeMap<char, usize> = BTreeMap::new();
    left.chars()
        .filter(char::is_ascii_alphabetic)
        .for_each(|one| *counts.entry(one).or_default() += 1);
    let once = counts.iter().filter(|(_, count)| **count == 1).map(|(one, _)| *one);
    Ok(ELLIPSIS[ELLIPSIS.len() - dots..].iter().copied().chain(once).collect())
}

/// The product of two, summed over letters that are in both and that nobody else needs.
fn product(
    builder: &mut Builder,
    left: Labelled,
    right: Labelled,
    needed: &[char],
) -> Lowered<Labelled> {
    let with = |own: &[char]| own.iter().chain(needed).copied().collect::<Vec<char>>();
    let (for_left, for_right) = (with(&right.letters), with(&left.letters));
    let left = summed(builder, left, &for_left)?;
    let right = summed(builder, right, &for_right)?;
    let shared = |letter: &char| left.letters.contains(letter) && right.letters.contains(letter);
    let contracted: Vec<char> = left
        .letters
        .iter()
        .filter(|letter| shared(letter) && !needed.contains(letter))
        .copied()
        .collect();
    let batch: Vec<char> = left
        .letters
        .iter()
        .filter(|letter| shared(letter) && needed.contains(letter))
        .copied()
        .collect();
    let only = |own: &Labelled, other: &Labelled| -> Vec<char> {
        own.letters.iter().filter(|letter| !other.letters.contains(letter)).copied().collect()
    };
    let (rows, columns) = (only(&left, &right), only(&right, &left));
    let letters: Vec<char> = batch.iter().chain(&rows).chain(&columns).copied().collect();
    if contracted.is_empty() || left.value.element() != ElementType::F32 {
        let all: Vec<char> = letters.iter().chain(&contracted).copied().collect();
        let a = arranged(builder, &left, &all)?;
        let b = arranged(builder, &right, &all)?;
        let value = builder.map(F::Multiply, &[&a, &b])?;
        return summed(builder, Labelled { value, letters: all }, needed);
    }
    let sized = |one: &Labelled, letters: &[char]| -> Vec<u64> {
        let size = |letter: &char| {
            let axis = one.letters.iter().position(|other| other == letter);
            axis.map_or(1, |axis| one.value.dimensions()[axis])
        };
        letters.iter().map(size).collect()
    };
    let flat = |builder: &mut Builder, one: &Labelled, own: &[char]| -> Lowered<Value> {
        let order: Vec<char> = batch.iter().chain(own).chain(&contracted).copied().collect();
        let moved = arranged(builder, one, &order)?;
        let mut dimensions = sized(one, &batch);
        dimensions.push(sized(one, own).iter().product());
        dimensions.push(sized(one, &contracted).iter().product());
        builder.reshape(&moved, &dimensions)
    };
    let (a, b) = (flat(builder, &left, &rows)?, flat(builder, &right, &columns)?);
    let value = builder.contract(&a, &b)?;
    let mut dimensions = value.dimensions()[..batch.len()].to_vec();
    dimensions.extend(sized(&left, &rows));
    dimensions.extend(sized(&right, &columns));
    let value = builder.reshape(&value, &dimensions)?;
    Ok(Labelled { value, letters })
}
