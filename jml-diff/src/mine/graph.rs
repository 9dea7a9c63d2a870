//! The kernel as a graph: the fewest cliques that cover it, and vertices of which no clique holds two.

use super::bits::{Bits, Grid};
use super::fraction;

/// At most so many largest cliques are tried at one vertex, and weighed for a bound.
const CLIQUES: usize = 2_000;

/// How many comparisons of two sets a search may still make. It counts, so that a search ends at the same
/// place on every machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort(pub(super) u64);

impl Effort {
    pub(super) const fn spend(&mut self, comparisons: usize) {
        self.0 = self.0.saturating_sub(comparisons as u64);
    }

    const fn add(&mut self, other: Self) {
        self.0 += other.0;
    }

    /// Takes a half away.
    const fn halve(&mut self) -> Self {
        let half = self.0 / 2;
        self.0 -= half;
        Self(half)
    }

    pub(super) const fn is_spent(self) -> bool {
        self.0 == 0
    }
}

/// A graph whose vertices are near themselves, too.
pub(super) struct Graph {
    near: Grid,
}

impl Graph {
    pub(super) fn new(vertices: usize) -> Self {
        let mut near = Grid::new(vertices, vertices);
        (0..vertices).for_each(|vertex| near.insert((vertex, vertex)));
        Self { near }
    }

    pub(super) fn join(&mut self, a: usize, b: usize) {
        self.near.insert((a, b));
        self.near.insert((b, a));
    }

    fn all(&self) -> Bits {
        Bits::of(self.near.height(), 0..self.near.height())
    }

    /// The parts between which there is no edge.
    fn parts(&self, alive: &Bits) -> Vec<Bits> {
        let mut rest = alive.clone();
        let mut parts = Vec::new();
        for start in alive.iter() {
            if !rest.has(start) {
                continue;
            }
            let mut part = Bits::new(self.near.height());
            let mut todo = vec![start];
            rest.remove(start);
            while let Some(vertex) = todo.pop() {
                part.insert(vertex);
                let found = rest.and(self.near.row(vertex));
                rest.subtract(&found);
                todo.extend(found.iter());
            }
            parts.push(part);
        }
        parts
    }

    /// Vertices no two of which are near, by taking the loneliest each time.
    fn lonely(&self, alive: &Bits) -> Vec<usize> {
        let mut rest = alive.clone();
        let mut out = Vec::new();
        while let Some(vertex) = self.least_near(&rest) {
            rest.subtract(self.near.row(vertex));
            out.push(vertex);
        }
        out
    }

    fn least_near(&self, alive: &Bits) -> Option<usize> {
        alive.iter().min_by_key(|vertex| self.near.row(*vertex).and(alive).len())
    }

    fn most_near(&self, alive: &Bits) -> Option<usize> {
        alive.iter().max_by_key(|vertex| self.near.row(*vertex).and(alive).len())
    }

    /// The cliques within `alive` that hold `base` and cannot grow, at most `limit` of them; and whether
    /// those are all.
    fn largest(&self, base: Option<usize>, alive: &Bits, limit: usize) -> (Vec<Bits>, bool) {
        let mut clique = Bits::new(self.near.height());
        let mut open = alive.clone();
        if let Some(vertex) = base {
            clique.insert(vertex);
            open.intersect(self.near.row(vertex));
            open.remove(vertex);
        }
        let mut out = Vec::new();
        let shut = Bits::new(self.near.height());
        let complete = self.grow(&clique, open, shut, limit, &mut out);
        (out, complete)
    }

    /// The algorithm of Bron and Kerbosch with a pivot.
    fn grow(
        &self,
        clique: &Bits,
        mut open: Bits,
        mut shut: Bits,
        limit: usize,
        out: &mut Vec<Bits>,
    ) -> bool {
        if out.len() >= limit {
            return false;
        }
        let pivots = open.iter().chain(shut.iter());
        let Some(pivot) = pivots.max_by_key(|vertex| self.near.row(*vertex).and(&open).len())
        else {
            out.push(clique.clone());
            return true;
        };
        let mut tried = open.minus(self.near.row(pivot));
        if open.has(pivot) {
            tried.insert(pivot);
        }
        for vertex in tried.iter() {
            let mut near = self.near.row(vertex).clone();
            near.remove(vertex);
            let mut larger = clique.clone();
            larger.insert(vertex);
            if !self.grow(&larger, open.and(&near), shut.and(&near), limit, out) {
                return false;
            }
            open.remove(vertex);
            shut.insert(vertex);
        }
        true
    }
}

/// What is left of a graph when the easy part is done.
struct Reduced {
    left: Bits,
    /// Cliques that have to be there, each with the vertex that says so.
    forced: Vec<(usize, Bits)>,
    /// Vertices that can join the clique of another one.
    dominated: Vec<(usize, usize)>,
}

impl Reduced {
    /// Puts dominated vertices into the cliques of those that dominate them.
    fn restore(&self, cliques: &mut [Bits]) {
        for (vertex, by) in self.dominated.iter().rev() {
            if let Some(clique) = cliques.iter_mut().find(|clique| clique.has(*by)) {
                clique.insert(*vertex);
            }
        }
    }
}

/// What a search found.
pub(super) struct Found {
    /// Cliques that cover all vertices.
    pub(super) cliques: Vec<Bits>,
    /// Weighed vertices, in groups: no clique holds more of a group than its limit, or parts of two groups.
    pub(super) apart: Vec<(u32, Vec<(usize, u32)>)>,
    /// Whether fewer cliques are known not to do.
    pub(super) smallest: bool,
}

/// A search that ends when its effort is spent.
pub(super) struct Search<'a> {
    graph: &'a Graph,
    effort: &'a mut Effort,
    complete: bool,
}

impl<'a> Search<'a> {
    pub(super) const fn new(graph: &'a Graph, effort: &'a mut Effort) -> Self {
        Self { graph, effort, complete: true }
    }

    /// The fewest cliques and the best bound that are found in time.
    pub(super) fn solve(&mut self) -> Found {
        let all = self.graph.all();
        let kept = self.effort.halve();
        let lonely = self.lonely(&all);
        self.effort.add(kept);
        let cliques = self.cover(&all, usize::MAX);
        let cliques =
            cliques.unwrap_or_else(|| all.iter().map(|at| Bits::of(1 + at, [at])).collect());
        let mut apart: Vec<_> = lonely.iter().map(|at| (1, vec![(*at, 1)])).collect();
        if lonely.len() < cliques.len()
            && !self.effort.is_spent()
            && let (largest, true) = self.graph.largest(None, &all, CLIQUES)
            && let Some((limit, weights)) = fraction::packing(all.len(), &largest, self.effort)
        {
            let total: u64 = weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
            if total > u64::from(limit) * lonely.len() as u64 {
                apart = vec![(limit, weights)];
            }
        }
        Found { smallest: self.complete || lonely.len() == cliques.len(), cliques, apart }
    }

    fn reduce(&mut self, alive: &Bits) -> Reduced {
        let mut left = alive.clone();
        let (mut forced, mut dominated) = (Vec::new(), Vec::new());
        let mut changed = true;
        while changed && !self.effort.is_spent() {
            changed = false;
            for vertex in alive.iter() {
                if !left.has(vertex) {
                    continue;
                }
                let mut near = self.graph.near.row(vertex).and(&left);
                self.effort.spend(1 + near.len());
                let fits = |at: &usize| near.is_subset(self.graph.near.row(*at));
                let over: Vec<usize> = near.iter().filter(fits).collect();
                changed |= over.len() > 1;
                if over.len() == near.len() {
                    changed = true;
                    left.subtract(&near);
                    forced.push((vertex, near));
                    continue;
                }
                for other in over.into_iter().filter(|other| *other != vertex) {
                    near.remove(other);
                    left.remove(other);
                    dominated.push((other, vertex));
                }
            }
        }
        Reduced { left, forced, dominated }
    }

    /// As many vertices as possible no two of which are near.
    fn lonely(&mut self, alive: &Bits) -> Vec<usize> {
        let reduced = self.reduce(alive);
        let mut out: Vec<usize> = reduced.forced.iter().map(|(vertex, _)| *vertex).collect();
        let parts = self.graph.parts(&reduced.left);
        if parts.len() > 1 {
            parts.iter().for_each(|part| out.extend(self.lonely(part)));
            return out;
        }
        let Some(vertex) = self.graph.most_near(&reduced.left) else { return out };
        if self.effort.is_spent() {
            out.extend(self.graph.lonely(&reduced.left));
            return out;
        }
        let mut without = reduced.left.clone();
        without.remove(vertex);
        let without = self.lonely(&without);
        let mut with = self.lonely(&reduced.left.minus(self.graph.near.row(vertex)));
        with.push(vertex);
        out.extend(if with.len() > without.len() { with } else { without });
        out
    }

    /// Fewer than `room` cliques that cover `alive`, as few as possible.
    fn cover(&mut self, alive: &Bits, room: usize) -> Option<Vec<Bits>> {
        let reduced = self.reduce(alive);
        let mut out: Vec<Bits> = reduced.forced.iter().map(|(_, clique)| clique.clone()).collect();
        let room_left = room.checked_sub(out.len()).filter(|room| *room > 0)?;
        let parts = self.graph.parts(&reduced.left);
        let lonely: Vec<usize> = parts.iter().map(|part| self.least(part)).collect();
        let mut least: usize = lonely.iter().sum();
        for (part, of_part) in parts.iter().zip(lonely) {
            let room = room_left.checked_sub(least - of_part).filter(|room| *room > of_part)?;
            let found = if parts.len() > 1 {
                self.cover(part, room)?
            } else {
                self.branch(part, of_part, room)?
            };
            least = least - of_part + found.len();
            out.extend(found);
        }
        reduced.restore(&mut out);
        Some(out)
    }

    /// How many cliques are needed at least. Without effort nothing is known but that it is one.
    fn least(&mut self, alive: &Bits) -> usize {
        if self.effort.is_spent() {
            return 1;
        }
        let lonely = self.graph.lonely(alive).len();
        self.effort.spend(lonely * alive.len());
        lonely
    }

    /// Tries each clique for one vertex: in some smallest cover it is one that cannot grow.
    fn branch(&mut self, alive: &Bits, least: usize, mut room: usize) -> Option<Vec<Bits>> {
        let vertex = self.graph.least_near(alive)?;
        let limit = if self.effort.is_spent() { 1 } else { CLIQUES };
        let (mut cliques, complete) = self.graph.largest(Some(vertex), alive, limit);
        self.effort.spend(cliques.len() * self.graph.near.row(vertex).len());
        self.complete &= complete;
        cliques.sort_by_key(|clique| std::cmp::Reverse(clique.len()));
        let mut best = None;
        for clique in cliques {
            if best.is_some() && self.effort.is_spent() {
                self.complete = false;
                break;
            }
            if room <= least {
                break;
            }
            if let Some(mut found) = self.cover(&alive.minus(&clique), room - 1) {
                found.push(clique);
                room = found.len();
                best = Some(found);
            } else if self.effort.is_spent() {
                self.complete = false;
                break;
            }
        }
        best
    }
}
