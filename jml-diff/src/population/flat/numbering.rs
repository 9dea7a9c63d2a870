//! Which number an entitlement should have.

/// A number for each entitlement so that those which are given together are neighbours: rows are then shorter and
/// walks faster, several times. Any other numbers give the same answers.
///
/// `templates` are rows of ids below `entitlements`, each with the number of people who have it, roughly. In the
/// answer, the id at a place has the number that stands there; each number below `entitlements` is there once.
/// What the most people have comes first, and what no template gives comes last, in the order of ids.
///
/// ```
/// // Of six entitlements, 5 and 1 are given to a hundred people, 1 and 2 to ten.
/// let numbers = jml_diff::population::flat::numbering(6, [(&[1, 2][..], 10), (&[5, 1], 100)]);
/// // 5, then 1, which both have, then 2; the rest as it was.
/// assert_eq!(numbers, [3, 1, 2, 4, 5, 0]);
/// ```
#[must_use]
pub fn numbering<'r>(
    entitlements: u32,
    templates: impl IntoIterator<Item = (&'r [u32], u64)>,
) -> Vec<u32> {
    let mut rows: Vec<(&[u32], u64)> = templates.into_iter().collect();
    rows.sort_by_key(|(_, people)| std::cmp::Reverse(*people));
    // Of each entitlement: which rows it is in, those of the most people first.
    let mut within = vec![Vec::new(); entitlements as usize];
    for (rank, (row, _)) in rows.iter().enumerate() {
        for id in *row {
            if let Some(within) = within.get_mut(*id as usize) {
                within.push(rank);
            }
        }
    }
    let mut ids: Vec<(&[usize], u32)> = within.iter().map(Vec::as_slice).zip(0..).collect();
    ids.sort_by_key(|(within, id)| (within.is_empty(), *within, *id));
    let mut numbers = vec![0; entitlements as usize];
    for ((_, id), number) in ids.iter().zip(0..) {
        if let Some(of) = numbers.get_mut(*id as usize) {
            *of = number;
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_given_once_and_rows_of_many_people_are_whole() {
        // Rows that overlap: of each three ids, one is in the next row as well.
        let rows: Vec<Vec<u32>> =
            (0..50).map(|at| (0..6).map(|it| at * 4 + it * 7 % 230).collect()).collect();
        let people = |at: usize| if at == 20 { 1_000 } else { at as u64 };
        let weighted = rows.iter().enumerate().map(|(at, row)| (row.as_slice(), people(at)));
        let numbers = numbering(300, weighted);
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..300).collect::<Vec<_>>());
        let of = |row: &[u32]| row.iter().map(|id| numbers[*id as usize]).max().unwrap();
        assert!(of(&rows[20]) < 6, "{}", of(&rows[20]));
        let given = rows.iter().map(|row| of(row)).max().unwrap();
        let nobody = |id: &u32| rows.iter().all(|row| !row.contains(id));
        let rest: Vec<u32> = (0..300).filter(nobody).map(|id| numbers[id as usize]).collect();
        assert!(rest.is_sorted() && rest.iter().all(|number| *number > given));
    }

    #[test]
    fn ids_that_there_are_not_are_nothing() {
        assert_eq!(numbering(2, [(&[7, 1][..], 3)]), [1, 0]);
        assert!(numbering(0, [(&[7][..], 3)]).is_empty());
    }
}
