//! Nodes in an order in which every value is written before it is read. The format asks for that
//! order; quantisers do not keep it.

use std::collections::{HashMap, VecDeque};

use super::proto::{GraphProto, NodeProto};

/// Puts the nodes of a graph in order, those that stand in order already as they are. Nodes of a cycle
/// stand after all others, where the importer names the first.
pub(super) fn in_order(graph: &mut GraphProto) {
    let nodes = std::mem::take(&mut graph.node);
    let mut writer: HashMap<&str, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        writer.extend(node.output.iter().map(|name| (name.as_str(), index)));
    }
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut waits: Vec<usize> = vec![0; nodes.len()];
    let mut sorted = true;
    for (index, node) in nodes.iter().enumerate() {
        each_input(node, &mut |name| {
            if let Some(before) = writer.get(name).copied() {
                readers[before].push(index);
                waits[index] += 1;
                sorted &= before < index;
            }
        });
    }
    if sorted {
        graph.node = nodes;
        return;
    }
    let mut ready: VecDeque<usize> = (0..nodes.len()).filter(|index| waits[*index] == 0).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(index) = ready.pop_front() {
        order.push(index);
        for reader in &readers[index] {
            waits[*reader] -= 1;
            if waits[*reader] == 0 {
                ready.push_back(*reader);
            }
        }
    }
    order.extend((0..nodes.len()).filter(|index| waits[*index] > 0));
    let mut nodes: Vec<Option<NodeProto>> = nodes.into_iter().map(Some).collect();
    graph.node = order.into_iter().filter_map(|index| nodes[index].take()).collect();
}

/// What a node reads, its branches included.
fn each_input<'a>(node: &'a NodeProto, read: &mut impl FnMut(&'a str)) {
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        node.input.iter().for_each(|name| read(name));
        open.extend(
            node.attribute.iter().filter_map(|one| one.g.as_deref()).flat_map(|graph| &graph.node),
        );
    }
}
