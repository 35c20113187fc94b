//! The Universal Scalability Law (N. J. Gunther, *Guerrilla Capacity Planning*, 2007), fitted to a sweep over levels of
//! concurrency: `X(N) = λN / (1 + σ(N - 1) + κN(N - 1))`, where `X` is the throughput of `N` at once.

/// A measured throughput.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// How many tasks at once, above 0.
    pub level: f64,
    /// Tasks per second, above 0.
    pub throughput: f64,
}

/// The parameters of the law for a sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Tasks per second with one at a time (λ).
    pub alone: f64,
    /// The part of the work that has to be done one at a time: contention (σ).
    pub contention: f64,
    /// The work that each task causes for every other one: coherency (κ).
    pub coherency: f64,
    /// How far the curve is from the points: the root mean square of the relative distances.
    pub error: f64,
    /// How many levels were measured.
    pub points: usize,
    /// The highest of them.
    pub highest: f64,
}

/// Where throughput ends to grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Peak {
    /// At this level, with this throughput.
    At(Point),
    /// Nowhere, but it never exceeds this.
    Below(f64),
    /// Nowhere: it grows with every level.
    Nowhere,
}

/// How far the prediction can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The points follow the law, and the peak lies among them.
    Measured,
    /// The points follow the law, but the peak lies beyond them.
    Extrapolated,
    /// With fewer levels than four, any points follow it.
    TooFewLevels,
    /// The points do not follow the law.
    Poor,
}

/// From here on, the curve is not the points'.
const POOR: f64 = 0.1;

impl Fit {
    /// Fits the law by least squares of relative distances, with no term below 0; `None` with fewer than three levels.
    ///
    /// `N / X(N)` is linear in `1/λ`, `σ/λ` and `κ/λ`. With three unknowns that must not be negative, the best fit is
    /// the best of the unconstrained fits to their subsets that happen to have no negative part.
    pub fn of(points: &[Point]) -> Option<Fit> {
        if points.len() < 3 {
            return None;
        }
        let subsets: [&[usize]; 4] = [&[0, 1, 2], &[0, 1], &[0, 2], &[0]]; // λ is always there
        let fits = subsets.into_iter().filter_map(|terms| {
            let parts = solve(points, terms)?;
            let is_possible = parts[0] > 0.0 && parts.iter().all(|&part| part >= 0.0);
            is_possible.then(|| Self::from_parts(parts, points))
        });
        fits.min_by(|one, other| one.error.total_cmp(&other.error))
    }

    fn from_parts([alone, contention, coherency]: [f64; 3], points: &[Point]) -> Self {
        let mut fit = Fit {
            alone: 1.0 / alone,
            contention: contention / alone,
            coherency: coherency / alone,
            error: 0.0,
            points: points.len(),
            highest: points.iter().map(|point| point.level).fold(0.0, f64::max),
        };
        // Distances of times, as they were fitted.
        let square = |point: &Point| (point.throughput / fit.throughput(point.level) - 1.0).powi(2);
        fit.error = (points.iter().map(square).sum::<f64>() / points.len() as f64).sqrt();
        fit
    }

    /// Tasks per second with `level` at once.
    pub fn throughput(&self, level: f64) -> f64 {
        let waiting = self.contention * (level - 1.0) + self.coherency * level * (level - 1.0);
        self.alone * level / (1.0 + waiting)
    }

    /// Where throughput ends to grow. The level is rounded to the better neighbour.
    pub fn peak(&self) -> Peak {
        if self.contention >= 1.0 {
            return Peak::At(self.point(1.0));
        }
        if self.coherency > 0.0 {
            let level = ((1.0 - self.contention) / self.coherency).sqrt();
            let (below, above) = (self.point(level.floor().max(1.0)), self.point(level.ceil()));
            return Peak::At(if above.throughput > below.throughput { above } else { below });
        }
        match self.contention {
            contention if contention > 0.0 => Peak::Below(self.alone / contention),
            _ => Peak::Nowhere,
        }
    }

    fn point(&self, level: f64) -> Point {
        Point { level, throughput: self.throughput(level) }
    }

    /// How far the prediction can be relied on.
    pub fn trust(&self) -> Trust {
        match self.peak() {
            _ if self.points < 4 => Trust::TooFewLevels,
            _ if self.error > POOR => Trust::Poor,
            Peak::At(peak) if peak.level <= self.highest => Trust::Measured,
            _ => Trust::Extrapolated,
        }
    }
}

/// The parts of `N / X(N)` that belong to these terms, by weighted least squares; the others are 0. `None` if the
/// points do not determine them.
fn solve(points: &[Point], terms: &[usize]) -> Option<[f64; 3]> {
    // Normal equations, for up to three unknowns; every row is divided by its value, so that distances are relative.
    let mut matrix = [[0.0; 4]; 3];
    for point in points {
        let value = point.level / point.throughput;
        let all = [1.0, point.level - 1.0, point.level * (point.level - 1.0)];
        let row = terms.iter().map(|&term| all[term] / value);
        for (into, one) in matrix.iter_mut().zip(row.clone()) {
            for (cell, other) in into.iter_mut().zip(row.clone()) {
                *cell += one * other;
            }
            into[3] += one;
        }
    }
    let solved = eliminate(&mut matrix[..terms.len()])?;
    let mut parts = [0.0; 3];
    for (&term, part) in terms.iter().zip(solved) {
        parts[term] = part;
    }
    Some(parts)
}

/// Gauss and Jordan, for a symmetric positive matrix with the right-hand side in the last column.
fn eliminate(rows: &mut [[f64; 4]]) -> Option<Vec<f64>> {
    /// What is left of a pivot below this part of it is rounding.
    const SINGULAR: f64 = 1e-12;
    let scales: Vec<f64> = (0..rows.len()).map(|index| rows[index][index]).collect();
    for pivot in 0..rows.len() {
        if rows[pivot][pivot] <= SINGULAR * scales[pivot] {
            return None;
        }
        let divided = rows[pivot].map(|cell| cell / rows[pivot][pivot]);
        rows[pivot] = divided;
        for (index, row) in rows.iter_mut().enumerate() {
            let factor = row[pivot];
            if index != pivot {
                row.iter_mut().zip(divided).for_each(|(cell, by)| *cell -= factor * by);
            }
        }
    }
    Some(rows.iter().map(|row| row[3]).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEVELS: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

    fn law(alone: f64, contention: f64, coherency: f64) -> Fit {
        Fit { alone, contention, coherency, error: 0.0, points: 6, highest: 32.0 }
    }

    fn points(law: &Fit, levels: &[f64]) -> Vec<Point> {
        levels.iter().map(|&level| law.point(level)).collect()
    }

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() <= 1e-6 * other.abs().max(1e-3)
    }

    #[test]
    fn a_published_fit_is_found_again() {
        // Gunther's ray tracer on up to 64 processors (`raytracer` of the R package usl): σ = 0.050, κ = 5e-6.
        let rays = [(1.0, 20.0), (4.0, 78.0), (8.0, 130.0), (12.0, 170.0), (16.0, 190.0)];
        let more = [
            (20.0, 200.0),
            (24.0, 210.0),
            (28.0, 230.0),
            (32.0, 260.0),
            (48.0, 280.0),
            (64.0, 310.0),
        ];
        let measured: Vec<Point> = rays
            .iter()
            .chain(&more)
            .map(|&(level, throughput)| Point { level, throughput })
            .collect();
        let fit = Fit::of(&measured).unwrap();
        assert!((0.03..0.07).contains(&fit.contention), "{fit:?}");
        assert!(fit.coherency < 1e-4, "{fit:?}");
        assert!(fit.error < POOR, "{fit:?}");
    }

    #[test]
    fn peaks_are_where_the_law_has_them() {
        let level = |law: Fit| match law.peak() {
            Peak::At(peak) => Some(peak.level as u32),
            Peak::Below(_) | Peak::Nowhere => None,
        };
        assert_eq!(level(law(100.0, 0.1, 0.01)), Some(9)); // sqrt(0.9 / 0.01) = 9.49, and 9 is better than 10
        assert_eq!(law(100.0, 0.1, 0.0).peak(), Peak::Below(1000.0));
        assert_eq!(law(100.0, 0.0, 0.0).peak(), Peak::Nowhere);
        assert_eq!(level(law(100.0, 1.5, 0.0)), Some(1));
    }

    #[test]
    fn trust_has_its_limits() {
        let exact = Fit::of(&points(&law(100.0, 0.1, 0.01), &LEVELS)).unwrap();
        assert_eq!(exact.trust(), Trust::Measured);
        let beyond = Fit::of(&points(&law(100.0, 0.01, 0.0001), &LEVELS)).unwrap();
        assert_eq!(beyond.trust(), Trust::Extrapolated);
        let few = Fit::of(&points(&law(100.0, 0.1, 0.01), &LEVELS[..3])).unwrap();
        assert_eq!(few.trust(), Trust::TooFewLevels);
        assert_eq!(Fit::of(&points(&law(100.0, 0.1, 0.01), &LEVELS[..2])), None);
        let wild = [10.0, 90.0, 20.0, 200.0, 30.0, 100.0];
        let wild: Vec<Point> = LEVELS
            .iter()
            .zip(wild)
            .map(|(&level, throughput)| Point { level, throughput })
            .collect();
        assert_eq!(Fit::of(&wild).unwrap().trust(), Trust::Poor);
    }

    #[test]
    fn terms_are_never_negative() {
        // Better than linear, as with caches that fill.
        let points: Vec<Point> =
            LEVELS.iter().map(|&level| Point { level, throughput: level.powf(1.2) }).collect();
        let fit = Fit::of(&points).unwrap();
        assert!(fit.contention <= 0.0 && fit.coherency <= 0.0, "{fit:?}");
        assert_eq!(fit.peak(), Peak::Nowhere);
    }

    proptest! {
        #[test]
        fn what_follows_the_law_is_found_again(
            alone in 0.1..10_000.0_f64, contention in 0.0..0.9_f64, coherency in 0.0..0.1_f64,
        ) {
            let law = law(alone, contention, coherency);
            let fit = Fit::of(&points(&law, &LEVELS)).unwrap();
            prop_assert!(close(fit.alone, alone), "{:?}", fit);
            prop_assert!((fit.contention - contention).abs() < 1e-6, "{:?}", fit);
            prop_assert!((fit.coherency - coherency).abs() < 1e-6, "{:?}", fit);
            prop_assert!(fit.error < 1e-6);
        }
    }
}
