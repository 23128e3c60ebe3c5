//! The nodes of a task: typed children, one virtual call for a hop, nothing allocated between nodes.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::{Context, Failure, FailureKind, Headers, Processor, Punctuation, Record, Step, TaskContext};

/// A node's index within its topology; a child's is higher than its parents'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// The one thing that a parent knows of a child.
pub trait Receive<K, V> {
    /// Takes a record through this node and the nodes below it.
    ///
    /// # Errors
    /// The failure of this node or of one below.
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step;
}

/// A stateless operator is a closure over its children.
impl<K, V, F: Fn(&mut TaskContext, Record<K, V>) -> Step> Receive<K, V> for F {
    #[inline]
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        self(cx, record)
    }
}

/// A node as its parents hold it.
pub type Input<K, V> = Rc<dyn Receive<K, V>>;

/// The nodes below a node, in the order in which they were attached.
pub struct Children<K, V>(Box<[Child<K, V>]>);

struct Child<K, V> {
    name: Arc<str>,
    input: Input<K, V>,
}

impl<K: Clone + 'static, V: Clone + 'static> Children<K, V> {
    /// These nodes, each with its name.
    pub fn new(children: impl IntoIterator<Item = (Arc<str>, Input<K, V>)>) -> Self {
        Children(children.into_iter().map(|(name, input)| Child { name, input }).collect())
    }

    /// Hands a record to every child in order; the last one gets the record itself, the others a clone.
    ///
    /// # Errors
    /// The first failure that the handlers did not choose to skip.
    #[inline]
    pub fn forward(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        match &*self.0 {
            [only] => only.receive(cx, record),
            many => Self::fan_out(many, cx, record),
        }
    }

    /// Hands a record to the child of this name.
    ///
    /// # Errors
    /// The child's failure, or there is no child of this name.
    pub fn forward_to(&self, cx: &mut TaskContext, name: &str, record: Record<K, V>) -> Step {
        match self.0.iter().find(|child| *child.name == *name) {
            Some(child) => child.receive(cx, record),
            None => Err(Failure::processing(format!("there is no node named {name} below this one"))),
        }
    }

    /// The place of the child of this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|child| *child.name == *name)
    }

    /// Hands a record to the child at `index`, counted from 0; without one nothing happens.
    ///
    /// # Errors
    /// The child's failure.
    #[inline]
    pub fn forward_at(&self, cx: &mut TaskContext, index: usize, record: Record<K, V>) -> Step {
        match self.0.get(index) {
            Some(child) => child.receive(cx, record),
            None => Ok(()),
        }
    }

    /// Without the child of this name, and that child alone.
    pub fn split_off(self, name: &str) -> (Self, Option<Self>) {
        let (child, others): (Vec<_>, Vec<_>) = self.0.into_iter().partition(|child| *child.name == *name);
        let child = (!child.is_empty()).then(|| Children(child.into()));
        (Children(others.into()), child)
    }

    /// Whether there is no node below.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Out of line: with the clones in one body with the common case, a hop takes twice as long.
    #[inline(never)]
    fn fan_out(children: &[Child<K, V>], cx: &mut TaskContext, record: Record<K, V>) -> Step {
        let Some((last, rest)) = children.split_last() else { return Ok(()) };
        for child in rest {
            child.receive(cx, record.clone())?;
        }
        last.receive(cx, record)
    }
}

impl<K, V> Child<K, V> {
    /// A failure is shown to the handlers at the innermost edge, so that a skipped child does not skip its siblings.
    #[inline]
    fn receive(&self, cx: &mut TaskContext, record: Record<K, V>) -> Step {
        match self.input.receive(cx, record) {
            Ok(()) => Ok(()),
            Err(failure) => cx.on_failure(&self.name, failure),
        }
    }
}

impl<K, V> fmt::Debug for Children<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|child| &child.name)).finish()
    }
}

/// A node with a life of its own: started with its task, woken by its timers, closed with its task.
pub trait Lifecycle {
    /// Called once, before the first record, when the stores are restored.
    ///
    /// # Errors
    /// What the user's code returned.
    fn init(&self, cx: &mut TaskContext) -> Step;

    /// A timer of this node fired.
    ///
    /// # Errors
    /// What the user's code or a node below returned.
    fn punctuate(&self, cx: &mut TaskContext, punctuation: Punctuation) -> Step;

    /// Called once, at the end.
    fn close(&self);
}

/// A user's processor among the nodes of a task.
///
/// Its `RefCell` cannot be borrowed twice: a call stack is a path through an acyclic graph, so no node is on it twice.
pub struct ProcessorNode<P: Processor> {
    id: NodeId,
    name: Arc<str>,
    processor: RefCell<P>,
    children: Children<P::KOut, P::VOut>,
}

impl<P: Processor> ProcessorNode<P> {
    /// The node `id` named `name` that runs `processor`.
    pub fn new(id: NodeId, name: Arc<str>, processor: P, children: Children<P::KOut, P::VOut>) -> Self {
        ProcessorNode { id, name, processor: RefCell::new(processor), children }
    }

    fn with<R>(
        &self,
        cx: &mut TaskContext,
        call: impl FnOnce(&mut P, &mut Context<'_, P::KOut, P::VOut>) -> Step<R>,
    ) -> Step<R> {
        match self.processor.try_borrow_mut() {
            Ok(mut processor) => call(&mut processor, &mut Context::new(cx, self.id, &self.children)),
            Err(_) => Err(Failure::new(FailureKind::Bug(format!("processor {} called from within itself", self.name)))),
        }
    }
}

impl<P: Processor> Receive<P::KIn, P::VIn> for ProcessorNode<P> {
    fn receive(&self, cx: &mut TaskContext, record: Record<P::KIn, P::VIn>) -> Step {
        // A store that the processor writes stamps its changelog with the time and headers of this very record.
        let time = std::mem::replace(&mut cx.record.timestamp, record.timestamp);
        let headers = swap_headers(&mut cx.record.headers, &record.headers);
        let result = self.with(cx, |processor, cx| processor.process(record, cx));
        cx.record.timestamp = time;
        if let Some(headers) = headers {
            cx.record.headers = headers;
        }
        result
    }
}

/// Puts the record's headers into the context; `None` if they are empty on both sides, the common case.
fn swap_headers(present: &mut Headers, of_record: &Headers) -> Option<Headers> {
    (!present.is_empty() || !of_record.is_empty()).then(|| std::mem::replace(present, of_record.clone()))
}

impl<P: Processor> Lifecycle for ProcessorNode<P> {
    fn init(&self, cx: &mut TaskContext) -> Step {
        self.with(cx, |processor, cx| processor.init(cx)).map_err(|failure| failure.at_node(&self.name))
    }

    fn punctuate(&self, cx: &mut TaskContext, punctuation: Punctuation) -> Step {
        match self.with(cx, |processor, cx| processor.punctuate(punctuation, cx)) {
            Ok(()) => Ok(()),
            Err(failure) => cx.on_failure(&self.name, failure),
        }
    }

    fn close(&self) {
        if let Ok(mut processor) = self.processor.try_borrow_mut() {
            processor.close();
        }
    }
}
