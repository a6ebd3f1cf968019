//! From words to a tree.
//!
//! Owns: precedence, arity, arguments that must be literals, limits of length and depth. Never does: know which columns
//! exist.

use crate::function::hint;
use crate::lex::{Token, tokens};
use crate::{Expr, ExprError, Function, Node};
use model::{Limits, Value};

/// Reads an expression.
pub fn parse(text: &str, limits: &Limits) -> Result<Expr, ExprError> {
    if text.len() > limits.expression_bytes_max {
        let (n, max) = (text.len(), limits.expression_bytes_max);
        return Err(ExprError::new(text, max, format!("the expression has {n} bytes, at most {max} are allowed"), None));
    }
    let tokens = tokens(text)?;
    if tokens.len() == 1 {
        return Err(ExprError::new(text, 0, "the expression is empty", None));
    }
    let mut parser = Parser { text, tokens, next: 0, depth: 0, depth_max: limits.expression_depth_max };
    let (expr, _) = parser.expr(1)?;
    match parser.peek() {
        Token::End => Ok(expr),
        other => {
            let what = format!("expected an operator or the end, found {}", other.shown());
            let hint = match (other, parser.tokens.get(parser.next.wrapping_sub(1))) {
                (Token::Sign("="), Some((Token::Sign("="), _))) => Some("write a single =".to_owned()),
                (Token::Sign(")"), _) => Some("there is a ')' too many".to_owned()),
                (Token::Name(n), _) if Function::named(&n.to_uppercase()).is_some() => Some(format!("write {}(…)", n.to_uppercase())),
                _ => None,
            };
            Err(parser.error(what, hint))
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<(Token, usize)>,
    next: usize,
    depth: usize,
    depth_max: usize,
}

/// How tightly an operator binds, and its function. `-` goes before `+`.
fn operator(token: &Token) -> Option<(u8, Function)> {
    Some(match token {
        Token::Name(n) if n == "OR" => (1, Function::Or),
        Token::Name(n) if n == "AND" => (2, Function::And),
        Token::Sign("=" | "!=") => (3, Function::Equals),
        Token::Sign("<") => (4, Function::Lt),
        Token::Sign("<=") => (4, Function::Lte),
        Token::Sign(">") => (4, Function::Gt),
        Token::Sign(">=") => (4, Function::Gte),
        Token::Sign("+") => (5, Function::Sum),
        Token::Sign("-") => (6, Function::Sub),
        Token::Sign("*") => (7, Function::Mul),
        Token::Sign("/") => (7, Function::Div),
        Token::Sign("%") => (7, Function::Mod),
        _ => return None,
    })
}

/// What `1 + 2 + 3` becomes is one call with three arguments.
fn is_list(function: Function) -> bool {
    matches!(function, Function::Or | Function::And | Function::Sum | Function::Mul)
}

/// An expression, and whether it is a chain of this operator without parentheses around it.
type Part = (Expr, Option<Function>);

impl Parser<'_> {
    fn peek(&self) -> &Token {
        // There is an end behind the last word, and nothing is taken from behind that.
        self.tokens.get(self.next).map_or(&Token::End, |(t, _)| t)
    }

    fn byte(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |(_, at)| *at)
    }

    fn at(&self) -> usize {
        self.text[..self.byte()].chars().count() + 1
    }

    fn error(&self, what: impl Into<String>, hint: Option<String>) -> ExprError {
        ExprError::new(self.text, self.byte(), what, hint)
    }

    fn error_at(&self, at: usize, what: impl Into<String>, hint: Option<String>) -> ExprError {
        ExprError { what: what.into(), at, hint }
    }

    fn call(&self, function: Function, arguments: Vec<Expr>, at: usize) -> Result<Expr, ExprError> {
        let expr = Expr { node: Node::Call(function, arguments), at };
        if expr.depth() > self.depth_max {
            return Err(self.too_deep());
        }
        Ok(expr)
    }

    fn too_deep(&self) -> ExprError {
        self.error(format!("nested more than {} levels deep", self.depth_max), None)
    }

    /// An expression of operators that bind at least this tightly.
    fn expr(&mut self, least: u8) -> Result<Part, ExprError> {
        self.depth += 1;
        if self.depth > self.depth_max {
            return Err(self.too_deep());
        }
        let mut left = self.operand()?;
        while let Some((binds, function)) = operator(self.peek()).filter(|(b, _)| *b >= least) {
            let negated = *self.peek() == Token::Sign("!=");
            self.next += 1;
            let (right, _) = self.expr(binds + 1)?;
            let at = left.0.at;
            let call = match left {
                (Expr { node: Node::Call(_, mut arguments), .. }, Some(chain)) if chain == function && is_list(function) => {
                    arguments.push(right);
                    self.call(function, arguments, at)?
                }
                (left, _) => self.call(function, vec![left, right], at)?,
            };
            left = if negated { (self.call(Function::Not, vec![call], at)?, None) } else { (call, Some(function)) };
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operand(&mut self) -> Result<Part, ExprError> {
        let at = self.at();
        let token = self.peek().clone();
        let literal = |value| Ok((Expr { node: Node::Literal(value), at }, None));
        match token {
            Token::Sign("!") => {
                self.next += 1;
                self.depth += 1;
                if self.depth > self.depth_max {
                    return Err(self.too_deep());
                }
                let (inner, _) = self.operand()?;
                self.depth -= 1;
                Ok((self.call(Function::Not, vec![inner], at)?, None))
            }
            Token::Sign("(") => {
                self.next += 1;
                let (inner, _) = self.expr(1)?;
                self.close("')'")?;
                Ok((inner, None))
            }
            Token::Sign("-") => {
                self.next += 1;
                match self.peek().clone() {
                    Token::Int(n) | Token::Float(n) => {
                        let value = self.number(&format!("-{n}"))?;
                        self.next += 1;
                        literal(value)
                    }
                    other => {
                        let hint = "only numbers have a sign; write 0 - x for the rest";
                        Err(self.error(format!("expected a number after '-', found {}", other.shown()), Some(hint.into())))
                    }
                }
            }
            Token::Int(n) | Token::Float(n) => {
                let value = self.number(&n)?;
                self.next += 1;
                literal(value)
            }
            Token::Text(s) => {
                self.next += 1;
                literal(Value::Str(s))
            }
            Token::Column(name) => {
                self.next += 1;
                Ok((Expr { node: Node::Column(name.into()), at }, None))
            }
            Token::Name(name) => self.named(&name, at),
            Token::Sign(_) | Token::End => {
                let hint = (self.next > 0 && token == Token::Sign(")")).then(|| "a value is missing here".to_owned());
                Err(self.error(format!("expected a column, a value or a function, found {}", token.shown()), hint))
            }
        }
    }

    fn number(&self, digits: &str) -> Result<Value, ExprError> {
        if let Ok(i) = digits.parse() {
            return Ok(Value::Int(i));
        }
        match digits.parse::<f64>() {
            Ok(f) if f.is_finite() => Ok(Value::Float(f)),
            _ => Err(self.error(format!("the number '{digits}' is too large"), None)),
        }
    }

    fn close(&mut self, expected: &str) -> Result<(), ExprError> {
        if *self.peek() == Token::Sign(")") {
            self.next += 1;
            return Ok(());
        }
        let found = self.peek().shown();
        let hint = match self.tokens.get(self.next.wrapping_sub(1)) {
            Some((Token::Column(name), _)) if name.contains(['-', '+', '=']) => {
                Some(format!("'${name}' is one name, as - + / = : ? may be in names; leave a space before an operator"))
            }
            _ => None,
        };
        Err(self.error(format!("expected {expected}, found {found}"), hint))
    }

    /// `true`, `false`, `null`, or a call.
    fn named(&mut self, name: &str, at: usize) -> Result<Part, ExprError> {
        let literal = match name {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            _ => None,
        };
        if let Some(value) = literal {
            self.next += 1;
            return Ok((Expr { node: Node::Literal(value), at }, None));
        }
        let Some(function) = Function::named(name) else {
            let what = if matches!(self.tokens.get(self.next + 1), Some((Token::Sign("("), _))) {
                format!("unknown function '{name}'")
            } else {
                format!("unexpected '{name}'")
            };
            let hint = match self.tokens.get(self.next + 1) {
                Some((Token::Sign("("), _)) => hint(name),
                _ => hint(name)
                    .filter(|h| h.starts_with("write "))
                    .or_else(|| Some(format!("a column is written ${name}, a text \"{name}\""))),
            };
            return Err(self.error(what, hint));
        };
        self.next += 1;
        if *self.peek() != Token::Sign("(") {
            let found = self.peek().shown();
            return Err(self.error(format!("expected '(' after {name}, found {found}"), None));
        }
        self.next += 1;
        let mut arguments = Vec::new();
        while *self.peek() != Token::Sign(")") {
            arguments.push(self.expr(1)?.0);
            if *self.peek() != Token::Sign(",") {
                break;
            }
            self.next += 1;
        }
        self.close("',' or ')'")?;
        self.check(function, &arguments, at)?;
        Ok((self.call(function, arguments, at)?, None))
    }

    /// What a function wants of its arguments.
    fn check(&self, function: Function, arguments: &[Expr], at: usize) -> Result<(), ExprError> {
        let (least, most) = function.arity();
        let (name, n) = (function.name(), arguments.len());
        if n < least || n > most {
            return Err(self.error_at(at, format!("{name} takes {}, not {n}", function.takes()), None));
        }
        let literal = |e: &Expr| if let Node::Literal(v) = &e.node { Some(v.clone()) } else { None };
        match function {
            Function::Switch => {
                for case in arguments[1..].chunks_exact(2).map(|pair| &pair[0]) {
                    if literal(case).is_none() {
                        return Err(self.error_at(
                            case.at,
                            "a case of SWITCH must be a value",
                            Some("use IF to compare with a column".into()),
                        ));
                    }
                }
            }
            Function::RegMatch | Function::RegValue | Function::RegCount => {
                let pattern = &arguments[1];
                let Some(Value::Str(text)) = literal(pattern) else {
                    let what = format!("the pattern of {name} must be a text");
                    return Err(self.error_at(pattern.at, what, Some("write it in backticks: `^GET /`".into())));
                };
                if let Err(e) = crate::eval::pattern(&text) {
                    return Err(self.error_at(pattern.at, format!("malformed pattern ({e})"), None));
                }
            }
            Function::Length => {
                if let Some(unit) = arguments.get(1)
                    && !matches!(literal(unit), Some(Value::Str(u)) if u == "bytes" || u == "chars")
                {
                    return Err(self.error_at(unit.at, "the unit of LENGTH must be \"bytes\" or \"chars\"", None));
                }
            }
            Function::FormatTime => {
                if let Some(Value::Str(format)) = literal(&arguments[0])
                    && let Some(unknown) = crate::time::unknown_specifier(&format)
                {
                    return Err(self.error_at(arguments[0].at, format!("FORMAT_TIME knows no '{unknown}'"), None));
                }
            }
            Function::Bucket => {
                if let Some(Value::Int(_) | Value::Float(_)) = literal(&arguments[1])
                    && literal(&arguments[1]).and_then(|v| v.number()).is_some_and(|size| size <= 0.0)
                {
                    return Err(self.error_at(arguments[1].at, "the size of a BUCKET must be above 0", None));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
