//! The layouts of a model that are worth most at some prices.

use std::cmp::Ordering;

/// The corners of the set of layouts that are worth most at some prices of the stages, by the first stage (Andrew's monotone chain). With one
/// stage that is the best layout.
pub fn corners(layouts: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut points = layouts.to_vec();
    points.sort_by(|a, b| {
        a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    let mut corners: Vec<Vec<f64>> = Vec::new();
    for point in points {
        if point.len() == 1 {
            corners.clear();
        } else {
            add(&mut corners, &point);
        }
        corners.push(point);
    }
    corners
}

/// Removes what is no corner when a point to the right is added.
fn add(corners: &mut Vec<Vec<f64>>, point: &[f64]) {
    // From the left only falling edges are between corners that are best somewhere.
    while corners.last().is_some_and(|last| last[1] <= point[1]) {
        corners.pop();
    }
    while let [.., a, b] = corners.as_slice() {
        if (b[0] - a[0]) * (point[1] - a[1]) < (b[1] - a[1]) * (point[0] - a[0]) {
            break;
        }
        corners.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_those_that_are_best_somewhere() {
        let layouts = [[0.0, 5.0], [1.0, 5.0], [2.0, 3.0], [3.0, 3.0], [5.0, 0.0], [4.0, 0.0]];
        assert_eq!(corners(&layouts.map(|layout| layout.to_vec())), [[1.0, 5.0], [3.0, 3.0], [5.0, 0.0]]);
        assert_eq!(corners(&[vec![2.0], vec![3.0], vec![1.0]]), [[3.0]]);
        assert!(corners(&[]).is_empty());
    }
}
