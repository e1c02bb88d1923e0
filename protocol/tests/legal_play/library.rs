//! Runs of the toy and of the recurrent model, true and false, with all their trees: what parties claim, say and
//! compare. Made once for all games.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use protocol::JobId;
use protocol::asks::{Answer, Ask, Tree, TreeKind};
use protocol::graph::{CommittedGraph, Graph};
use protocol::hash::{Digest, Keccak};
use protocol::tensor::{LeafBytes, TensorType, leaf_element};
use protocol::transaction::{ClaimTerms, JobTerms, RunRoots, Statement};

use crate::common::answers::{Grown, of_bits, of_roots, of_values};
use crate::common::sequence::{Course, Form, Lie, Machine};
use crate::common::{Answers, Bits, Toy, Want};

/// A model that jobs are about.
pub(crate) struct Model {
    pub(crate) graph: Graph,
    pub(crate) committed: CommittedGraph,
    pub(crate) root: Digest,
    pub(crate) weights: Vec<Grown>,
    /// Iterations after which a run says that it ends.
    pub(crate) end: Option<u32>,
    /// Whether a job may have several iterations.
    pub(crate) repeats: bool,
}

/// A run with its trees.
pub(crate) struct Book {
    /// Its model, by its place.
    pub(crate) model: usize,
    pub(crate) statement: Statement,
    pub(crate) trees: BTreeMap<Tree, Grown>,
    /// What stands in each state, by iteration and boundary.
    pub(crate) states: BTreeMap<(u32, u32), Vec<(u32, Digest)>>,
    /// Roots of the entries of a batch.
    pub(crate) entries: Vec<Digest>,
    /// Whether every step of it follows from the law. One that ends too early or too late follows, too.
    pub(crate) lawful: bool,
    /// Whether it differs from others in more than what its executor would say.
    pub(crate) posable: bool,
    /// Every ask about every node.
    pub(crate) wants: Vec<Want>,
}

/// All of them.
pub(crate) struct Library {
    pub(crate) models: Vec<Model>,
    pub(crate) books: Vec<Book>,
    /// Trees that are said, and tensors, by their roots.
    rooted: BTreeMap<(usize, Tree, Digest), usize>,
    posed: BTreeMap<(Digest, u32, Digest), usize>,
}

pub(crate) static LIBRARY: LazyLock<Library> = LazyLock::new(Library::new);

pub(crate) fn root_of(tree: Tree, grown: &Grown) -> Digest {
    let root = tree.commit::<Keccak>(&grown.kind, &grown.nodes.root());
    root.expect("a tree has a shape of its kind")
}

/// What was said of a tree, from its answer.
pub(crate) fn grown_of(ask: &Ask, answer: &Answer) -> Option<Grown> {
    match (ask.kind(), answer) {
        (TreeKind::List { .. }, Answer::Roots { roots }) => Some(of_roots(roots)),
        (TreeKind::Tensor { kind }, Answer::Leaves { leaves }) => {
            let word = |element: u64| {
                let (leaf, place) = kind.locate(element)?;
                leaf_element(kind.element, leaves.get(leaf as usize)?, place)
            };
            let words: Option<Vec<u64>> = (0..kind.shape.count()).map(word).collect();
            Some(of_bits(&Bits(kind.clone(), words?)))
        }
        _ => None,
    }
}

/// A leaf of a tensor or of accumulators.
pub(crate) fn leaf_of(tree: Tree, grown: &Grown, position: u64) -> LeafBytes {
    let place = grown.place(tree, grown.nodes.shape().depth(), position);
    match grown.answer(&Ask::Leaves { place }, 6) {
        Answer::Leaves { leaves } => leaves[0],
        other => panic!("leaves are asked for: {other:?}"),
    }
}

/// The type of a tensor's tree.
pub(crate) fn type_of(grown: &Grown) -> &TensorType {
    match &grown.kind {
        TreeKind::Tensor { kind } => kind,
        TreeKind::List { .. } => panic!("a list is no tensor"),
    }
}

impl Model {
    fn new(
        (graph, committed): (&Graph, &CommittedGraph),
        weights: &[Bits],
        end: Option<u32>,
        repeats: bool,
    ) -> Self {
        let (graph, committed) = (graph.clone(), committed.clone());
        let root = committed.header.root();
        let weights = weights.iter().map(of_bits).collect();
        Self { graph, committed, root, weights, end, repeats }
    }

    /// The layer that an operator is in.
    pub(crate) fn layer_of(&self, operator: u32) -> u32 {
        let place = self.graph.layers.iter().position(|layer| layer.position(operator).is_some());
        place.expect("layers cover all operators") as u32
    }

    /// Iterations of the true run, of a job that allows so many.
    pub(crate) fn natural(&self, iterations_max: u32) -> u32 {
        self.end.map_or(iterations_max, |end| end.min(iterations_max))
    }
}

impl Book {
    fn new(
        model: usize,
        statement: Statement,
        trees: BTreeMap<Tree, Grown>,
        entries: Vec<Digest>,
        lawful: bool,
    ) -> Self {
        let wants = trees.iter().flat_map(|(tree, grown)| grown.all_wants(*tree)).collect();
        let mut states = BTreeMap::new();
        for (tree, grown) in &trees {
            if let Tree::State { iteration, boundary } = *tree {
                let place = grown.place(*tree, 0, 0);
                let Answer::Values { values } = grown.answer(&Ask::Open { place }, 8) else {
                    panic!("a state has values")
                };
                states.insert((iteration, boundary), values);
            }
        }
        Self { model, statement, trees, states, entries, lawful, posable: true, wants }
    }

    fn of_toy(answers: Answers, lawful: bool) -> Self {
        Self::new(0, answers.statement, answers.trees, Vec::new(), lawful)
    }

    fn of_course(model: usize, course: Course, lawful: bool) -> Self {
        Self::new(model, course.statement, course.trees, course.entries, lawful)
    }

    pub(crate) fn iterations(&self) -> u32 {
        self.statement.terms.iterations
    }

    /// The same run with another root for a value that the first layer hands through: nothing in it reads it.
    fn not_carried(mut self, iteration: u32, value: u32) -> Self {
        let key = (iteration, 1);
        let values = self.states.get_mut(&key).expect("a state after the first layer");
        let place = values.iter().position(|(id, _)| *id == value).expect("it is live");
        values[place].1 = Digest([7; 32]);
        self.trees.insert(Tree::State { iteration, boundary: 1 }, of_values(values));
        let roots = |trees: &BTreeMap<Tree, Grown>, iteration: u32| -> Vec<Digest> {
            let state = |boundary| Tree::State { iteration, boundary };
            (0..3).map(|boundary| root_of(state(boundary), &trees[&state(boundary)])).collect()
        };
        let trace = Tree::Trace { iteration };
        self.trees.insert(trace, of_roots(&roots(&self.trees, iteration)));
        let last = self.iterations() - 1;
        let traces: Vec<Digest> = (0..=last)
            .map(|iteration| Tree::Trace { iteration })
            .map(|trace| root_of(trace, &self.trees[&trace]))
            .collect();
        self.trees.insert(Tree::Sequence {}, of_roots(&traces));
        let (first_states, last_states) = (&roots(&self.trees, 0), &roots(&self.trees, last));
        let roots = RunRoots { traces: &traces, first_states, last_states, entries: &self.entries };
        let model_root = self.statement.terms.model_root;
        let statement = Statement::of_sequence::<Keccak>(JobId::default(), model_root, roots);
        Self { statement: statement.expect("a run has a statement"), lawful: false, ..self }
    }

    /// Whether the run is what a job asks for.
    pub(crate) fn is_true(&self, job: &JobTerms) -> bool {
        let natural = LIBRARY.models[self.model].natural(job.iterations_max);
        let fits = self.iterations() == natural || (job.may_cut && self.iterations() < natural);
        self.lawful && self.posable && fits && self.statement.terms.input_root == job.input_root
    }
}

/// Places at which runs of the recurrent model are false.
fn lies(is_batch: bool) -> Vec<Lie> {
    let element = |iteration, operator, element| Lie::Element { iteration, operator, element };
    let mut all = vec![
        element(0, 1, 3),
        element(1, 0, 0),
        element(1, 2, 0),
        element(1, 3, 0),
        element(1, 1, 70),
        Lie::Renames { iteration: 1 },
        Lie::Begins { iteration: 1, input: 1 },
        Lie::Begins { iteration: 1, input: 3 },
    ];
    if is_batch {
        all.push(Lie::Begins { iteration: 1, input: 0 });
    }
    all
}

impl Library {
    fn new() -> Self {
        let toy = Toy::new();
        let weights = [toy.weight.clone()];
        let mut models = vec![Model::new((&toy.graph, &toy.committed), &weights, None, false)];
        let honest = Answers::of(&toy, &toy.run(None));
        let mut books = vec![Book::of_toy(honest.clone(), true)];
        // Junk to say as sums, beside the true run's.
        books.extend((0..2).map(|word| Book::of_toy(honest.clone().with_sums(word), true)));
        // The last is one whose bits no stored value has.
        for flip in [(0, 5), (0, 99), (1, 70), (1, 0), (2, 0), (1, 28)] {
            books.push(Book::of_toy(Answers::of(&toy, &toy.run(Some(flip))), false));
        }
        for form in [Form::Stopping, Form::Endless, Form::Batch] {
            let machine = Machine::new(form, 3);
            let place = models.len();
            let end = (form == Form::Stopping).then_some(3);
            let pair = (&machine.graph, &machine.committed);
            models.push(Model::new(pair, &machine.weights, end, true));
            for iterations in 1..=4 {
                books.push(Book::of_course(place, machine.run(iterations, None), true));
            }
            let honest = || Book::of_course(place, machine.run(3, None), true);
            books.extend([(0, 2), (1, 3)].map(|(at, value)| honest().not_carried(at, value)));
            for lie in lies(form == Form::Batch) {
                for iterations in [2, 3] {
                    let course = machine.run(iterations, Some(lie));
                    books.push(Book::of_course(place, course, false));
                }
            }
        }
        let (mut rooted, mut posed) = (BTreeMap::new(), BTreeMap::new());
        for (place, book) in books.iter_mut().enumerate() {
            let is_rooted = |tree: &Tree| tree.is_said() || matches!(tree, Tree::Tensor { .. });
            for (tree, grown) in book.trees.iter().filter(|(tree, _)| is_rooted(tree)) {
                rooted.entry((book.model, *tree, root_of(*tree, grown))).or_insert(place);
            }
            // A lie inside a layer may wash out before the state after it: then it is one in what is said alone.
            let ClaimTerms { model_root, iterations, sequence_root, .. } = book.statement.terms;
            let first = posed.entry((model_root, iterations, sequence_root)).or_insert(place);
            book.posable = book.posable && *first == place;
        }
        Self { models, books, rooted, posed }
    }

    /// The run that a claim is on.
    pub(crate) fn of_claim(&self, terms: &ClaimTerms) -> usize {
        let key = (terms.model_root, terms.iterations, terms.sequence_root);
        *self.posed.get(&key).expect("every claim is on a run of the library")
    }

    pub(crate) fn model_of(&self, root: &Digest) -> usize {
        let place = self.models.iter().position(|model| model.root == *root);
        place.expect("every job is on a model of the library")
    }

    /// The true run of a job; none where no run can be.
    pub(crate) fn truth(&self, job: &JobTerms) -> Option<usize> {
        let model = self.model_of(&job.model_root);
        let natural = self.models[model].natural(job.iterations_max);
        self.books.iter().position(|book| {
            book.model == model && book.iterations() == natural && book.is_true(job)
        })
    }

    /// The longest lawful run of a model: others are compared with it, as far as they go.
    pub(crate) fn reference(&self, model: usize) -> &Book {
        let lawful = self.books.iter().filter(|book| book.model == model && book.lawful);
        let longest = lawful.filter(|book| book.posable).max_by_key(|book| book.iterations());
        longest.expect("every model has a lawful run")
    }

    /// Runs of a model that can be posed.
    pub(crate) fn posable(&self, model: usize) -> Vec<usize> {
        let fits = |place: &usize| self.books[*place].model == model && self.books[*place].posable;
        (0..self.books.len()).filter(fits).collect()
    }

    /// Everything that could be said of a tree, each root once.
    pub(crate) fn sayings(&self, model: usize, tree: Tree) -> Vec<usize> {
        let (least, most) = (Digest([0; 32]), Digest([0xff; 32]));
        let range = (model, tree, least)..=(model, tree, most);
        self.rooted.range(range).map(|(_, place)| *place).collect()
    }
}

/// Trees that somebody said and no run of the library has.
pub(crate) type Junk = BTreeMap<(usize, Tree, Digest), Grown>;

/// A claim as everybody sees who has the runs: its own trees, and those that were said.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) book: &'a Book,
    pub(crate) said: &'a BTreeMap<Tree, Digest>,
    pub(crate) junk: &'a Junk,
}

impl<'a> View<'a> {
    pub(crate) fn model(&self) -> &'a Model {
        &LIBRARY.models[self.book.model]
    }

    /// A tree as it was said, or as the claim's run has it; none while it was not said, or where nobody has it.
    pub(crate) fn tree(&self, tree: Tree) -> Option<&'a Grown> {
        match tree {
            Tree::Subtrace { .. } | Tree::Accumulators { .. } => {
                self.with_root(tree, *self.said.get(&tree)?)
            }
            Tree::Tensor { iteration, operator } => {
                self.with_root(tree, self.output_root(iteration, operator)?)
            }
            Tree::Sequence {}
            | Tree::Trace { .. }
            | Tree::State { .. }
            | Tree::Input { .. }
            | Tree::Output { .. } => self.book.trees.get(&tree),
        }
    }

    fn with_root(&self, tree: Tree, root: Digest) -> Option<&'a Grown> {
        let key = (self.book.model, tree, root);
        match LIBRARY.rooted.get(&key) {
            Some(place) => LIBRARY.books[*place].trees.get(&tree),
            None => self.junk.get(&key),
        }
    }

    /// The root of what an operator wrote, as it was said.
    pub(crate) fn output_root(&self, iteration: u32, operator: u32) -> Option<Digest> {
        let layer = self.model().layer_of(operator);
        let first = self.model().graph.layers[layer as usize].first_operator;
        let inside = self.tree(Tree::Subtrace { iteration, layer })?;
        let place = inside.place(Tree::Subtrace { iteration, layer }, 0, 0);
        match inside.answer(&Ask::Open { place }, 8) {
            Answer::Roots { roots } => roots.get((operator - first) as usize).copied(),
            _ => None,
        }
    }

    pub(crate) fn is_batch(&self) -> bool {
        !self.book.entries.is_empty()
    }

    pub(crate) fn last(&self) -> u32 {
        self.book.iterations() - 1
    }
}
