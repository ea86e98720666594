//! Who can reach whom: a set of cut links between named nodes.

use std::collections::BTreeSet;

/// The observer's name among the nodes.
pub const OBSERVER: &str = "observer";

/// The links.
#[derive(Clone, Debug, Default)]
pub struct Network {
    cut: BTreeSet<(String, String)>,
    isolated: BTreeSet<String>,
}

impl Network {
    /// Cuts the link between two nodes, both ways.
    pub fn cut(&mut self, a: &str, b: &str) {
        self.cut.insert(ordered(a, b));
    }

    /// Heals the link between two nodes.
    pub fn heal(&mut self, a: &str, b: &str) {
        self.cut.remove(&ordered(a, b));
    }

    /// Pulls a node's cable.
    pub fn isolate(&mut self, node: &str) {
        self.isolated.insert(node.to_owned());
    }

    /// Plugs a node's cable back in.
    pub fn join(&mut self, node: &str) {
        self.isolated.remove(node);
    }

    /// Heals everything.
    pub fn heal_all(&mut self) {
        self.cut.clear();
        self.isolated.clear();
    }

    /// True if packets pass between two nodes; a node always reaches itself.
    pub fn passes(&self, a: &str, b: &str) -> bool {
        if a == b {
            return true;
        }
        if self.cut.is_empty() && self.isolated.is_empty() {
            return true;
        }
        !self.cut.contains(&ordered(a, b))
            && !self.isolated.contains(a)
            && !self.isolated.contains(b)
    }
}

fn ordered(a: &str, b: &str) -> (String, String) {
    if a <= b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}
