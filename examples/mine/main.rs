//! Mines roles from matrices of users and permissions, and checks what it found.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]
#![expect(clippy::disallowed_methods, reason = "a program may look at the clock")]
use jml_diff::mine::*;
fn main() {
    for f in std::env::args().skip(1) {
        let s = std::fs::read_to_string(&f).unwrap();
        let rows: Vec<Vec<u32>> = s
            .lines()
            .filter(|l| !l.starts_with('#'))
            .filter_map(|l| l.split_once(':'))
            .map(|(_, p)| p.split_whitespace().map(|x| x.parse().unwrap()).collect())
            .collect();
        let n = rows.iter().flatten().max().unwrap() + 1;
        let m = Matrix::new(n, rows).unwrap();
        let t = std::time::Instant::now();
        let r = mine(&m, &Options::default());
        let ms = t.elapsed();
        println!(
            "{f} {:?} proof {:?} cert {:?} exact {:?} {ms:?}",
            r.measures,
            r.proof,
            r.certificate.check(&m),
            r.check(&m)
        );
    }
}
