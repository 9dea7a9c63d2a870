//! Role mining: against brute force, against corrupted certificates, and on real matrices.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use jml_diff::mine::{
    Certificate, CertificateError, Matrix, Measures, Mined, NamedMatrix, NotExact, Options, Proof,
    Weights, Witness, WitnessGroup, mine,
};
use proptest::prelude::*;

/// Users as bit masks of what they hold.
fn matrix(permissions: u32, rows: &[u32]) -> Matrix {
    let held = |row: &u32| (0..permissions).filter(|p| row >> p & 1 == 1).collect();
    Matrix::new(permissions, rows.iter().map(held).collect()).unwrap()
}

fn mined(matrix: &Matrix) -> Mined {
    mine(matrix, &Options::default())
}

/// The fewest roles by trying all sets of roles, without anything from the miner.
fn fewest(permissions: u32, rows: &[u32]) -> usize {
    // A role may as well have all that some set of users shares.
    let mut roles: BTreeSet<u32> = BTreeSet::new();
    for users in 1_u32..1 << rows.len() {
        let picked = (0..rows.len()).filter(|at| users >> at & 1 == 1);
        roles.insert(picked.fold((1 << permissions) - 1, |all, at| all & rows[at]));
    }
    roles.remove(&0);
    let roles: Vec<u32> = roles.into_iter().collect();
    let covers = |picked: &[u32]| {
        rows.iter().all(|row| {
            let fits = picked.iter().filter(|role| *role & !row == 0);
            fits.fold(0, |all, role| all | role) == *row
        })
    };
    fn some(
        roles: &[u32],
        left: usize,
        picked: &mut Vec<u32>,
        covers: &dyn Fn(&[u32]) -> bool,
    ) -> bool {
        if covers(picked) {
            return true;
        }
        left > 0
            && (0..roles.len()).any(|at| {
                picked.push(roles[at]);
                let found = some(&roles[at + 1..], left - 1, picked, covers);
                picked.pop();
                found
            })
    }
    (0..).find(|count| some(&roles, *count, &mut Vec::new(), &covers)).unwrap()
}

fn masks(permissions: u32, users: usize) -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(0_u32..1 << permissions, 0..=users)
}

/// Every witness swapped for another pair of the matrix, one at a time.
fn swaps(matrix: &Matrix, certificate: &Certificate) -> Vec<(Witness, Certificate)> {
    let mut out = Vec::new();
    for (group, of) in certificate.groups.iter().enumerate() {
        for at in 0..of.witnesses.len() {
            for (user, held) in matrix.rows() {
                for permission in held {
                    let mut other = certificate.clone();
                    let place = &mut other.groups[group].witnesses[at];
                    (place.user, place.permission) = (user, *permission);
                    out.push((*place, other));
                }
            }
        }
    }
    out
}

fn fit(matrix: &Matrix, a: &Witness, b: &Witness) -> bool {
    matrix.holds(a.user, b.permission) && matrix.holds(b.user, a.permission)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn roles_give_exactly_what_is_held(rows in masks(12, 14)) {
        let matrix = matrix(12, &rows);
        let mined = mine(&matrix, &Options { effort: 200_000, ..Options::default() });
        prop_assert_eq!(mined.check(&matrix), Ok(()));
        // No new access, said without the miner's own check.
        for role in &mined.roles {
            for user in &role.users {
                prop_assert!(role.permissions.iter().all(|p| rows[*user as usize] >> p & 1 == 1));
            }
        }
        let different: BTreeSet<_> = mined.roles.iter().map(|role| &role.permissions).collect();
        prop_assert_eq!(different.len(), mined.roles.len());
        let least = mined.certificate.check(&matrix).unwrap();
        prop_assert!(least <= mined.roles.len());
        prop_assert_eq!(mined.proof == Proof::Certified, least == mined.roles.len());
    }

    #[test]
    fn small_matrices_get_the_fewest_roles(rows in masks(5, 5)) {
        let matrix = matrix(5, &rows);
        let mined = mined(&matrix);
        let fewest = fewest(5, &rows);
        prop_assert!(mined.certificate.check(&matrix).unwrap() <= fewest);
        prop_assert!(mined.proof >= Proof::Searched);
        prop_assert_eq!(mined.roles.len(), fewest);
    }

    #[test]
    fn the_numbering_of_users_makes_no_difference(
        (rows, order) in masks(10, 12).prop_flat_map(|rows| {
            let order: Vec<usize> = (0..rows.len()).collect();
            (Just(rows), Just(order).prop_shuffle())
        })
    ) {
        let turned: Vec<u32> = order.iter().map(|at| rows[*at]).collect();
        let (one, two) = (mined(&matrix(10, &rows)), mined(&matrix(10, &turned)));
        let permissions = |mined: &Mined| -> Vec<Vec<u32>> {
            mined.roles.iter().map(|role| role.permissions.clone()).collect()
        };
        prop_assert_eq!(permissions(&one), permissions(&two));
        prop_assert_eq!(one.measures, two.measures);
        prop_assert_eq!(one.proof, two.proof);
        for (at, from) in order.iter().enumerate() {
            prop_assert_eq!(&two.given[at], &one.given[*from]);
        }
    }

    #[test]
    fn a_corrupted_certificate_is_refused(rows in masks(8, 8)) {
        let matrix = matrix(8, &rows);
        let certificate = mined(&matrix).certificate;
        for (swapped, corrupted) in swaps(&matrix, &certificate) {
            // Witnesses of other groups that fit with it; its old place is not among them.
            let others = corrupted.groups.iter().filter(|of| !of.witnesses.contains(&swapped));
            let clash = others.flat_map(|of| &of.witnesses).any(|it| fit(&matrix, it, &swapped));
            let twice = corrupted.groups.iter().filter(|of| of.witnesses.contains(&swapped)).count();
            if clash || twice > 1 {
                let refused = matches!(
                    corrupted.check(&matrix),
                    Err(CertificateError::Together(..) | CertificateError::TooHeavy { .. })
                );
                prop_assert!(refused, "{:?}", corrupted);
            }
        }
    }

    #[test]
    fn whatever_passes_the_check_is_a_bound(
        rows in masks(4, 4),
        picked in proptest::collection::vec(
            (1_u32..4, proptest::collection::vec((0_u32..4, 0_u32..4, 1_u32..4), 1..4)), 1..4,
        ),
    ) {
        let groups = picked.into_iter().map(|(limit, witnesses)| {
            let witness = |(user, permission, weight)| Witness { user, permission, weight };
            WitnessGroup { limit, witnesses: witnesses.into_iter().map(witness).collect() }
        });
        let certificate = Certificate { groups: groups.collect() };
        if let Ok(least) = certificate.check(&matrix(4, &rows)) {
            prop_assert!(least <= fewest(4, &rows), "{:?} for {:?}", certificate, rows);
        }
    }
}

/// The ring of five: no two of three neighbours' pairs are apart, so plain witnesses show 2 of 3.
fn ring() -> Certificate {
    let witness = |at: u32| Witness { user: at, permission: at, weight: 1 };
    Certificate {
        groups: vec![WitnessGroup { limit: 2, witnesses: (0..5).map(witness).collect() }],
    }
}

/// User `i` holds `i` and its two neighbours on a ring of five.
fn ring_matrix() -> Matrix {
    let row = |at: u32| vec![at, (at + 1) % 5, (at + 4) % 5];
    Matrix::new(5, (0..5).map(row).collect()).unwrap()
}

/// Everybody holds all but one thing of their own. The fewest roles for that are known: the least `k` with
/// `k` choose `k / 2` at least `n` (de Caen, Gregory, Pullman 1981). Nothing can be merged or left out.
#[test]
fn all_but_one_needs_what_is_published() {
    for (n, fewest) in [(3, 3), (4, 4), (5, 4), (6, 4), (7, 5), (8, 5), (9, 5)] {
        let row = |at: u32| ((1 << n) - 1) & !(1 << at);
        let matrix = matrix(n, &(0..n).map(row).collect::<Vec<u32>>());
        let mined = mined(&matrix);
        assert_eq!(mined.check(&matrix), Ok(()));
        assert_eq!(mined.roles.len(), fewest, "{n}");
        assert!(mined.certificate.check(&matrix).unwrap() <= fewest);
    }
}

/// Three pairs at most are apart here, and four roles are needed.
#[test]
fn weights_certify_what_plain_witnesses_cannot() {
    let rows = [27, 31, 23, 7, 30];
    let matrix = matrix(5, &rows);
    let mined = mined(&matrix);
    assert_eq!((mined.roles.len(), mined.proof), (4, Proof::Certified));
    assert_eq!(fewest(5, &rows), 4);
    let pairs: Vec<Witness> = matrix
        .rows()
        .flat_map(|(user, held)| held.iter().map(move |it| (user, *it)))
        .map(|(user, permission)| Witness { user, permission, weight: 1 })
        .collect();
    fn most(matrix: &Matrix, pairs: &[Witness]) -> usize {
        let Some((first, rest)) = pairs.split_first() else { return 0 };
        let apart: Vec<Witness> =
            rest.iter().filter(|it| !fit(matrix, first, it)).copied().collect();
        most(matrix, rest).max(1 + most(matrix, &apart))
    }
    assert_eq!(most(&matrix, &pairs), 3);
}

#[test]
fn weighed_witnesses_show_more_than_plain_ones() {
    assert_eq!(ring().check(&ring_matrix()), Ok(3));
}

#[test]
fn each_error_of_a_certificate() {
    let matrix = ring_matrix();
    let refused = |change: &dyn Fn(&mut Certificate)| {
        let mut certificate = ring();
        change(&mut certificate);
        certificate.check(&matrix).unwrap_err()
    };
    let error = refused(&|it| it.groups[0].witnesses[1].permission = 3);
    assert_eq!(error, CertificateError::NotHeld { user: 1, permission: 3 });
    let error = refused(&|it| it.groups[0].witnesses[1].weight = 2);
    assert_eq!(error, CertificateError::TooHeavy { group: 0, limit: 2 });
    let error = refused(&|it| it.groups[0].limit = 1);
    assert_eq!(error, CertificateError::TooHeavy { group: 0, limit: 1 });
    let error = refused(&|it| it.groups[0].limit = 0);
    assert_eq!(error, CertificateError::Zero { group: 0 });
    let error = refused(&|it| it.groups[0].witnesses[4].weight = 0);
    assert_eq!(error, CertificateError::Zero { group: 0 });
    let error = refused(&|it| {
        let last = it.groups[0].witnesses.pop().unwrap();
        it.groups.push(WitnessGroup { limit: 1, witnesses: vec![last] });
    });
    assert!(matches!(error, CertificateError::Together(..)), "{error}");
    // Thirty couples: pairs fit with all but their partner. No role holds more than thirty of them, but that
    // takes a look at each way to take one of each.
    let row = |at: u32| (0..60).filter(|it| *it != at ^ 1).collect();
    let couples = Matrix::new(60, (0..60).map(row).collect()).unwrap();
    let witnesses = (0..60).map(|at| Witness { user: at, permission: at, weight: 1 }).collect();
    let mut certificate = Certificate { groups: vec![WitnessGroup { limit: 30, witnesses }] };
    assert_eq!(certificate.check(&couples), Err(CertificateError::TooTangled { group: 0 }));
    certificate.groups[0].limit = 29;
    assert_eq!(
        certificate.check(&couples),
        Err(CertificateError::TooHeavy { group: 0, limit: 29 })
    );
}

#[test]
fn a_wrong_cover_is_refused() {
    let matrix = ring_matrix();
    let good = mined(&matrix);
    assert_eq!(good.check(&matrix), Ok(()));
    for role in 0..good.roles.len() {
        let mut less = good.clone();
        let gone = less.roles[role].permissions.remove(0);
        let NotExact { permission, .. } = less.check(&matrix).unwrap_err();
        assert_eq!(permission, gone);
        let mut more = good.clone();
        let new = (0..5).find(|p| !more.roles[role].permissions.contains(p)).unwrap();
        more.roles[role].permissions.push(new);
        assert!(more.check(&matrix).is_err());
    }
    let mut beyond = good.clone();
    beyond.given.push(vec![0]);
    assert_eq!(beyond.check(&matrix).unwrap_err().user, 5);
}

#[test]
fn nothing_is_held() {
    for empty in [Matrix::new(0, vec![]), Matrix::new(3, vec![vec![], vec![]])] {
        let empty = empty.unwrap();
        let mined = mined(&empty);
        assert!(mined.roles.is_empty());
        assert_eq!(mined.proof, Proof::Certified);
        assert_eq!(mined.check(&empty), Ok(()));
        assert_eq!(mined.given.len(), empty.users() as usize);
    }
}

#[test]
fn measures_count_with_their_weights() {
    let matrix = Matrix::new(3, vec![vec![0], vec![0, 1, 2], vec![0, 1, 2]]).unwrap();
    let weights = Weights { role: 100, user: 10, permission: 1 };
    let mined = mine(&matrix, &Options { weights, ..Options::default() });
    let measures = Measures {
        roles: 2,
        user_assignments: 5,
        permission_assignments: 3,
        most_roles: 2,
        complexity: 253,
    };
    assert_eq!(mined.measures, measures);
}

#[test]
fn a_matrix_refuses_what_it_cannot_number() {
    let error = Matrix::new(2, vec![vec![0], vec![1, 2]]).unwrap_err().to_string();
    assert_eq!(error, "user 1 holds permission 2, and there are only 2");
    let matrix = Matrix::new(2, vec![vec![1, 0, 1]]).unwrap();
    assert_eq!((matrix.of(0), matrix.of(7), matrix.assignments()), (&[0, 1][..], &[][..], 2));
}

#[test]
fn names_are_numbered_in_their_order() {
    let pair = |user: &str, key: &str| (user.parse().unwrap(), key.parse().unwrap());
    let pairs = [pair("b", "t/g/y"), pair("a", "t/g/z"), pair("b", "t/g/x"), pair("b", "t/g/x")];
    let named = NamedMatrix::from_pairs(pairs.clone()).unwrap();
    assert_eq!(named.matrix(), &Matrix::new(3, vec![vec![2], vec![0, 1]]).unwrap());
    assert_eq!(named.user(1).unwrap().as_str(), "b");
    assert_eq!(named.permission(2).unwrap().to_string(), "t/g/z");
    assert_eq!(named, NamedMatrix::from_pairs(pairs.into_iter().rev()).unwrap());
}

/// A kernel too large to be searched, and too little time: the roles are still exact and the bound true.
#[test]
fn without_time_the_answer_is_still_exact() {
    let mut state = 7_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for (users, permissions, effort) in
        [(24, 24, 50), (54, 54, 2_000_000), (60, 60, 1_000), (120, 90, 1_000)]
    {
        let row = |next: &mut dyn FnMut() -> u64| {
            (0..permissions).filter(|_| next().is_multiple_of(3)).collect()
        };
        let rows = (0..users).map(|_| row(&mut next)).collect();
        let matrix = Matrix::new(permissions, rows).unwrap();
        let mined = mine(&matrix, &Options { effort, ..Options::default() });
        assert_eq!(mined.check(&matrix), Ok(()));
        assert_eq!(mined.proof, Proof::Open);
        let least = mined.certificate.check(&matrix).unwrap();
        assert!(least > 0 && least < mined.roles.len());
        assert!(mined.roles.len() <= permissions.min(users) as usize);
    }
}

/// The nine matrices of Ene et al. (SACMAT 2008) and the fewest roles known for each.
const SETS: [(&str, usize); 9] = [
    ("americas_large", 398),
    ("americas_small", 178),
    ("apj", 453),
    ("customer", 276),
    ("domino", 20),
    ("emea", 34),
    ("firewall1", 64),
    ("firewall2", 10),
    ("healthcare", 14),
];

pub(crate) fn read(path: &Path) -> Option<Matrix> {
    let text = std::fs::read_to_string(path).ok()?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let rows = lines.filter_map(|line| line.split_once(':'));
    let rows =
        rows.map(|(_, held)| held.split_whitespace().map(|it| it.parse().unwrap()).collect());
    let rows: Vec<Vec<u32>> = rows.collect();
    let permissions = rows.iter().flatten().max().map_or(0, |last| last + 1);
    Some(Matrix::new(permissions, rows).unwrap())
}

#[test]
fn published_matrices_get_the_fewest_roles_certified() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/role-mining");
    let mut out = String::new();
    for (name, best) in SETS {
        let Some(matrix) = read(&folder.join(format!("{name}.upa"))) else {
            println!("skipped: no shared data for {name}");
            continue;
        };
        let mined = mined(&matrix);
        assert_eq!(mined.check(&matrix), Ok(()), "{name}");
        assert!(mined.roles.len() <= best, "{name}: {} roles", mined.roles.len());
        assert_eq!(mined.certificate.check(&matrix), Ok(mined.roles.len()), "{name}");
        assert_eq!(mined.proof, Proof::Certified, "{name}");
        writeln!(out, "{name}: {:?}", mined.measures).unwrap();
        // Each plain witness in turn becomes another pair of the user of the next one, which fits with that.
        let groups = &mined.certificate.groups;
        for (at, group) in groups.iter().enumerate() {
            let next = groups[(at + 1) % groups.len()].witnesses[0];
            let permission = *matrix.of(next.user).last().unwrap();
            if group.witnesses.len() == 1 {
                let mut corrupted = mined.certificate.clone();
                corrupted.groups[at].witnesses[0] = Witness { permission, ..next };
                let error = corrupted.check(&matrix).unwrap_err();
                assert!(matches!(error, CertificateError::Together(..)), "{name}: {error}");
            }
        }
    }
    print!("{out}");
}

/// Certificates come from elsewhere, too: one that nests as deep as it has witnesses is judged like any other.
#[test]
fn a_group_of_very_many_witnesses_is_judged_or_refused() {
    let many = 50_000;
    let all: Vec<u32> = (0..many).collect();
    let group = |limit, witnesses: Vec<Witness>| Certificate {
        groups: vec![WitnessGroup { limit, witnesses }],
    };
    let one = |user, permission| Witness { user, permission, weight: 1 };
    // Everybody holds the same one thing: all fit together, and one too many.
    let matrix = Matrix::new(1, vec![vec![0]; 50_000]).unwrap();
    let same = || all.iter().map(|user| one(*user, 0)).collect();
    let heavy = CertificateError::TooHeavy { group: 0, limit: 3 };
    assert_eq!(group(3, same()).check(&matrix), Err(heavy));
    assert_eq!(group(many, same()).check(&matrix), Ok(1));
    let tangled = Err(CertificateError::TooTangled { group: 0 });
    assert_eq!(group(many - 1, same()).check(&matrix), tangled);
    // Everybody holds something else: nothing fits together.
    let apart = Matrix::new(many, all.iter().map(|at| vec![*at]).collect()).unwrap();
    let each = |many: u32| (0..many).map(|at| one(at, at)).collect();
    assert_eq!(group(1, each(2_000)).check(&apart), Ok(2_000));
    assert_eq!(group(1, each(many)).check(&apart), tangled);
}
