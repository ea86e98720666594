//! How a service starts HAProxy: the command line of its unit with the unit's variables put in, and
//! the variables that the files themselves ask for.
//!
//! It reads no file and asks no service manager: the caller brings the texts.

use std::collections::BTreeMap;

use crate::document::Document;

/// The variables that a service is started with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment(BTreeMap<String, String>);

/// One place where a file asks for an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variable {
    /// Line number, counted from 1.
    pub line: usize,
    /// The variable's name.
    pub name: String,
}

impl Environment {
    /// Takes up assignments in the form of an `Environment=` line: words, quoted where needed.
    pub fn take_words(&mut self, text: &str) {
        for word in words(text) {
            if let Some((name, value)) = word.split_once('=') {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Takes up the content of an environment file: one assignment a line, comments behind `#` and
    /// `;`, values quoted or not, and a backslash at the end joining two lines.
    pub fn take_file(&mut self, text: &str) {
        let joined = text.replace("\\\n", " ");
        let lines = joined.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
        for (name, value) in lines.filter_map(|line| line.split_once('=')) {
            self.0.insert(name.trim().to_owned(), unquoted(value.trim()));
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The words of a unit's command with the variables put in: `${NAME}` within a word, and a word
    /// that is `$NAME` alone as all the words of its value. One that is not set counts as empty.
    pub fn expand(&self, command: &str) -> Vec<String> {
        let mut all = Vec::new();
        for word in words(command) {
            let alone = word.strip_prefix('$').filter(|name| is_name(name));
            match alone {
                Some(name) => all.extend(words(self.get(name).unwrap_or_default())),
                None => all.push(self.put_in(&word)),
            }
        }
        all
    }

    /// A text with the values of each `${NAME}` in it; one that is not set counts as empty.
    pub fn put_in(&self, word: &str) -> String {
        let mut out = String::new();
        let mut rest = word;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let braced = rest.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            match braced {
                Some((name, behind)) if is_name(name) => {
                    out.push_str(self.get(name).unwrap_or_default());
                    rest = behind;
                }
                _ => {
                    out.push('$');
                    rest = rest.strip_prefix('$').unwrap_or(rest);
                }
            }
        }
        out + rest
    }
}

/// The variables that a file takes from the environment of its service: those that HAProxy makes
/// itself, that the file sets, and that have a default are left out.
pub fn variables(document: &Document) -> Vec<Variable> {
    let mut own: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for (index, line) in document.lines().iter().enumerate() {
        let words = line.words().list;
        if words.first().is_some_and(|word| word.is("setenv") || word.is("presetenv")) {
            own.extend(words.get(1).map(|word| word.to_text()));
        }
        for word in words.iter().filter(|word| word.variable) {
            let quoted = line.content()[word.start..word.end].contains(&b'"');
            for name in asked(&word.to_text(), quoted) {
                if !own.contains(&name) && !name.starts_with("HAPROXY_") {
                    found.push(Variable { line: index + 1, name });
                }
            }
        }
    }
    found
}

/// Names behind the `$` of a word. Outside quotes a bare one is left as it is: it may well end a
/// regular expression.
fn asked(text: &str, quoted: bool) -> Vec<String> {
    let mut names = Vec::new();
    for rest in text.split('$').skip(1) {
        let (braced, rest) = match rest.strip_prefix('{') {
            Some(inside) => (true, inside),
            None => (false, rest),
        };
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let plain = behind.starts_with('}') || behind.starts_with("[*]}");
        if is_name(name) && (if braced { plain } else { quoted }) {
            names.push(name.to_owned());
        }
    }
    names
}

fn is_part(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(is_part)
}

/// Words between blanks, quotes taken off.
fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let (mut word, mut quote): (Option<String>, Option<char>) = (None, None);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (_, Some(open)) if open == character => quote = None,
            ('\\', open) if open != Some('\'') => {
                word.get_or_insert_default().extend(characters.next());
            }
            (blank, None) if blank.is_whitespace() => all.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    all.extend(word);
    all
}

/// A value of an environment file: blanks within it are kept, quotes are taken off.
fn unquoted(value: &str) -> String {
    let quoted = ['"', '\''].into_iter().find_map(|quote| {
        value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)).map(|(inside, _)| inside)
    });
    quoted.unwrap_or(value).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Invocation;

    #[test]
    fn the_command_line_of_a_packaged_unit_is_read_with_its_environment_file() {
        let mut environment = Environment::default();
        environment.take_words(
            "CONFIG=/etc/haproxy/haproxy.cfg PIDFILE=/run/haproxy.pid \"EXTRAOPTS=-S /run/m.sock\"",
        );
        let command = "/usr/sbin/haproxy -Ws -f $CONFIG -p ${PIDFILE} $EXTRAOPTS";
        let words = environment.expand(command);
        assert_eq!(
            words.join(" "),
            "/usr/sbin/haproxy -Ws -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid -S /run/m.sock"
        );
        environment.take_file(
            "# Options\n; of ours\nEXTRAOPTS=\"-f /etc/haproxy/desk.cfg \\\n  -S /run/m.sock\"\n\
             CONFIG = /etc/haproxy/base.cfg\nDESK_NAME='a b'\nPLAIN=a \"b\"\n",
        );
        assert_eq!(environment.get("DESK_NAME"), Some("a b"));
        assert_eq!(environment.get("PLAIN"), Some("a \"b\""));
        let found = Invocation::parse(&environment.expand(command)[1..]);
        assert_eq!(found.sources, ["/etc/haproxy/base.cfg", "/etc/haproxy/desk.cfg"]);
        assert_eq!(found.master_socket.as_deref(), Some("/run/m.sock"));
        assert_eq!(environment.expand("x $$ ${NONE}y $NONE z$"), ["x", "$", "y", "z$"]);
    }

    #[test]
    fn variables_are_those_that_the_service_must_bring() {
        let file = b"global
    presetenv OWN 1
backend app
    server a \"${NODE_A}:${PORT-80}\" check
    server b ${NODE_B}:$PORT_OF_B
    http-request deny if { path_reg ^/x$foo } # ${COMMENT}
    log-format \"$NAME ${OWN} ${HAPROXY_LOCALPEER} ${LIST[*]}\" '${SINGLE}'
";
        let found: Vec<(usize, String)> =
            variables(&Document::parse(file)).into_iter().map(|one| (one.line, one.name)).collect();
        let expected = [(4, "NODE_A"), (5, "NODE_B"), (7, "NAME"), (7, "LIST")];
        assert_eq!(found, expected.map(|(line, name)| (line, name.to_owned())));
    }
}
