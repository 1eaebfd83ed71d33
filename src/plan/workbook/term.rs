//! Formulas that carry their value: text and value are built by the same operations, so a cell's cached value is that of its formula.

use std::ops::{Add, Div, Mul, Sub};

/// A formula, or a part of one, with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    text: String,
    value: f64,
    /// Whether it needs no brackets as an operand.
    is_atom: bool,
}

impl Term {
    /// A constant.
    pub fn number(value: f64) -> Term {
        Term { text: format!("{value}"), value, is_atom: value >= 0.0 }
    }

    /// A cell or a defined name that holds a value.
    pub fn reference(name: impl Into<String>, value: f64) -> Term {
        Term { text: name.into(), value, is_atom: true }
    }

    /// The formula without its "=".
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its value.
    pub fn value(&self) -> f64 {
        self.value
    }

    fn operand(&self) -> String {
        if self.is_atom { self.text.clone() } else { format!("({})", self.text) }
    }

    fn call(name: &str, arguments: &[&Term], value: f64) -> Term {
        let arguments: Vec<&str> = arguments.iter().map(|term| term.text.as_str()).collect();
        Term { text: format!("{name}({})", arguments.join(",")), value, is_atom: true }
    }

    fn operation(&self, operator: char, other: &Term, value: f64) -> Term {
        Term { text: format!("{}{operator}{}", self.operand(), other.operand()), value, is_atom: false }
    }

    /// The least of several; `None` of none.
    pub fn min(terms: &[Term]) -> Option<Term> {
        Term::extreme("MIN", terms, f64::min)
    }

    /// The greatest of several; `None` of none.
    pub fn max(terms: &[Term]) -> Option<Term> {
        Term::extreme("MAX", terms, f64::max)
    }

    fn extreme(name: &str, terms: &[Term], of: fn(f64, f64) -> f64) -> Option<Term> {
        match terms {
            [] => None,
            [one] => Some(one.clone()),
            several => {
                let value = several.iter().map(Term::value).reduce(of)?;
                Some(Term::call(name, &several.iter().collect::<Vec<_>>(), value))
            }
        }
    }

    /// Not below zero.
    pub fn at_least_zero(&self) -> Term {
        Term::call("MAX", &[&Term::number(0.0), self], self.value.max(0.0))
    }

    /// The next whole number from it on, for what is not negative.
    pub fn round_up(&self) -> Term {
        Term::call("ROUNDUP", &[self, &Term::number(0.0)], self.value.ceil())
    }

    /// This where a condition is above zero, else zero.
    pub fn if_any(&self, condition: &Term) -> Term {
        let value = if condition.value > 0.0 { self.value } else { 0.0 };
        Term { text: format!("IF({}>0,{},0)", condition.operand(), self.text), value, is_atom: true }
    }

    /// The sum of several; zero of none.
    pub fn sum(terms: impl IntoIterator<Item = Term>) -> Term {
        terms.into_iter().reduce(|sum, term| &sum + &term).unwrap_or(Term::number(0.0))
    }
}

impl Add for &Term {
    type Output = Term;

    fn add(self, other: &Term) -> Term {
        self.operation('+', other, self.value + other.value)
    }
}

impl Sub for &Term {
    type Output = Term;

    fn sub(self, other: &Term) -> Term {
        self.operation('-', other, self.value - other.value)
    }
}

impl Mul for &Term {
    type Output = Term;

    fn mul(self, other: &Term) -> Term {
        self.operation('*', other, self.value * other.value)
    }
}

impl Div for &Term {
    type Output = Term;

    fn div(self, other: &Term) -> Term {
        self.operation('/', other, self.value / other.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_and_its_value_go_together() {
        let (a, b) = (Term::reference("A1", 7.0), Term::reference("rate_1", 2.0));
        let machines = (&(&a - &Term::number(0.5)) / &b).round_up();
        assert_eq!((machines.text(), machines.value()), ("ROUNDUP((A1-0.5)/rate_1,0)", 4.0));
        let spares = Term::number(2.0).if_any(&machines);
        assert_eq!((spares.text(), spares.value()), ("IF(ROUNDUP((A1-0.5)/rate_1,0)>0,2,0)", 2.0));
        let least = Term::min(&[a.clone(), b.clone()]).unwrap();
        assert_eq!((least.text(), least.value()), ("MIN(A1,rate_1)", 2.0));
        assert_eq!(Term::max(&[]), None);
        assert_eq!((&b - &a).at_least_zero().value(), 0.0);
        assert_eq!(Term::sum([a.clone(), b.clone(), a]).text(), "(A1+rate_1)+A1");
        assert_eq!((&b * &Term::number(-1.0)).text(), "rate_1*(-1)");
    }

    #[test]
    fn small_and_large_constants_are_written_as_spreadsheets_read_them() {
        assert_eq!(Term::number(1e-9).text(), "0.000000001");
        assert_eq!(Term::number(32768.0).text(), "32768");
    }
}
