//! An expression as a tree; operators are functions in it.
//!
//! Owns: the canonical text of a tree, its columns and size, putting one tree into another. Never does: evaluate.

use crate::Function;
use crate::lex::in_column;
use model::Value;
use std::fmt;
use std::sync::Arc;

/// An expression. Two are equal if they read the same, wherever they stand.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub node: Node,
    /// The character at which it starts, the first being 1.
    pub at: usize,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A value as written.
    Literal(Value),
    /// The cell of a column.
    Column(Arc<str>),
    /// A function of other expressions.
    Call(Function, Vec<Expr>),
}

impl PartialEq for Expr {
    fn eq(&self, other: &Expr) -> bool {
        self.node == other.node
    }
}

impl Expr {
    /// Levels of calls, itself included.
    #[must_use]
    pub fn depth(&self) -> usize {
        1 + self.arguments().iter().map(Expr::depth).max().unwrap_or(0)
    }

    /// Literals, columns and calls.
    #[must_use]
    pub fn size(&self) -> usize {
        self.arguments().iter().fold(1, |n, a| n.saturating_add(a.size()))
    }

    /// What it is a function of; nothing for a literal or a column.
    #[must_use]
    pub fn arguments(&self) -> &[Expr] {
        if let Node::Call(_, arguments) = &self.node { arguments } else { &[] }
    }

    /// Each column once, in the order of first use, with the character where that is.
    #[must_use]
    pub fn columns(&self) -> Vec<(Arc<str>, usize)> {
        let mut out = Vec::new();
        self.visit(&mut |e| {
            if let Node::Column(name) = &e.node
                && out.iter().all(|(known, _)| known != name)
            {
                out.push((Arc::clone(name), e.at));
            }
        });
        out
    }

    /// Whether a function occurs in it.
    #[must_use]
    pub fn uses(&self, function: Function) -> bool {
        let mut found = false;
        self.visit(&mut |e| found |= matches!(e.node, Node::Call(f, _) if f == function));
        found
    }

    fn visit(&self, f: &mut dyn FnMut(&Expr)) {
        f(self);
        self.arguments().iter().for_each(|a| a.visit(f));
    }

    /// The same with columns replaced by what `of` has for them. `None`: it would have more than `size_max` parts or
    /// `depth_max` levels.
    #[must_use]
    pub fn inlined(&self, of: &dyn Fn(&str) -> Option<Arc<Expr>>, depth_max: usize, size_max: usize) -> Option<Expr> {
        let mut room = size_max;
        let out = self.inlined_within(of, &mut room)?;
        (out.depth() <= depth_max).then_some(out)
    }

    fn inlined_within(&self, of: &dyn Fn(&str) -> Option<Arc<Expr>>, room: &mut usize) -> Option<Expr> {
        let node = match &self.node {
            Node::Column(name) => match of(name) {
                Some(other) => {
                    *room = room.checked_sub(other.size())?;
                    return Some((*other).clone());
                }
                None => self.node.clone(),
            },
            Node::Literal(_) => self.node.clone(),
            Node::Call(f, arguments) => Node::Call(*f, arguments.iter().map(|a| a.inlined_within(of, room)).collect::<Option<Vec<_>>>()?),
        };
        *room = room.checked_sub(1)?;
        Some(Expr { node, at: self.at })
    }
}

/// A text in double quotes.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            c if c.is_control() => write!(f, "\\U{:08x}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

/// The canonical text: functions only, no spaces to spare. It reads back as the same tree.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Node::Literal(Value::Null) => f.write_str("null"),
            Node::Literal(Value::Bool(b)) => write!(f, "{b}"),
            Node::Literal(Value::Int(i)) => write!(f, "{i}"),
            Node::Literal(Value::Float(v)) => write!(f, "{v:?}"),
            Node::Literal(Value::Str(s)) => quoted(f, s),
            Node::Column(name) if !name.is_empty() && name.chars().all(in_column) => write!(f, "${name}"),
            Node::Column(name) => {
                f.write_str("$")?;
                quoted(f, name)
            }
            Node::Call(function, arguments) => {
                write!(f, "{}(", function.name())?;
                for (i, a) in arguments.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{a}")?;
                }
                f.write_str(")")
            }
        }
    }
}
