//! Measures the delta of a whole population.
#![expect(clippy::print_stdout, reason = "a program talks to its user")]
mod world;
use jml_diff::population::flat::*;
use std::num::NonZeroUsize;
use std::time::Instant;
fn main() {
    let n: u32 = std::env::args().nth(1).map_or(100_000, |s| s.parse().unwrap());
    let w = world::World::new();
    let mut b = Builder::new(world::ENTITLEMENTS).unwrap();
    for t in &w.templates { b.template(t).unwrap(); }
    let mut p = world::Person::default();
    let mut own = Vec::new();
    let t = Instant::now();
    let (mut lo, mut hi) = (9999, 0);
    for i in 0..n {
        w.person(i, &mut p);
        own.clear(); own.extend(p.own.iter().map(|e| (*e, 0)));
        b.person(&p.templates, &own, &p.held).unwrap();
        lo = lo.min(p.held.len()); hi = hi.max(p.held.len());
    }
    println!("gen {:?} {lo} {hi}", t.elapsed());
    let t = Instant::now();
    let flat = b.finish();
    println!("finish {:?} {} bytes/p {} held/p", t.elapsed(), flat.bytes() as f64 / n as f64, flat.pairs() as f64/n as f64);
    let mut d = Deltas::default();
    for th in [1,2] { for _ in 0..5 {
        let t = Instant::now();
        flat.diff_into(NonZeroUsize::new(th).unwrap(), &mut d);
        println!("{th} {:?} {} ns {:?} touched {}", t.elapsed(), t.elapsed().as_nanos() as f64 / n as f64, d.totals(), d.touched() as f64 / n as f64);
    } }
    let mut flat = flat;
    let t = Instant::now();
    let ix = flat.index();
    println!("index {:?} {}", t.elapsed(), ix.bytes() as f64 / n as f64);
    for (name, kind) in world::EDITED {
        for k in 0..3 {
        let t0 = kind.first + if name == "base" {0} else {k};
        let mut row = flat.template(t0).to_vec();
        row.remove(0); row.push(5 + k * 7); row.push(19_001 + k);
        let t = Instant::now();
        let e = flat.edit_template(&ix, t0, &row).unwrap();
        let el = t.elapsed();
        println!("{name} {} affected {:?} {} ns per {} shifts", e.affected, el, el.as_nanos() as f64 / e.affected as f64, e.shifts.len());
        }
    }
}
