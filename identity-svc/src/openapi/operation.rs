//! One operation of the API, and the words to say what it takes, gives and refuses.

use actix_web::http::StatusCode;
use serde_json::{Value, json};
use shared::jwt::TokenError;

use crate::domain::texts::Text;
use crate::http::{ApiError, Example, FieldForm, RequestBody, forms_of};

/// Who may call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Nobody looks at the header.
    Ignored,
    /// The contract's documents say so of public operations.
    Optional,
    Required,
}

/// The body of a request.
pub struct Taken {
    pub component: &'static str,
    pub forms: Vec<FieldForm>,
    pub example: Value,
}

/// The body of a good answer.
pub enum Given {
    Nothing,
    /// `{"detail": "..."}`.
    Detail(Text),
    /// Of a component; `optional` names the properties that may be missing.
    Component {
        name: &'static str,
        example: Value,
        optional: &'static [&'static str],
    },
}

/// What an answer is good for next.
pub struct Link {
    pub name: &'static str,
    pub operation_id: &'static str,
    /// A runtime expression (OpenAPI 3.0.3, "Runtime Expressions").
    pub body: Option<&'static str>,
    pub parameter: Option<(&'static str, &'static str)>,
}

pub struct Operation {
    pub method: &'static str,
    pub path: &'static str,
    pub id: &'static str,
    pub tag: &'static str,
    /// The summary is the text `api-<words>`.
    pub words: &'static str,
    /// The contract's, or else the text `api-<words>-about` when there is one.
    pub description: Option<&'static str>,
    pub security: Security,
    pub taken: Option<Taken>,
    pub status: StatusCode,
    pub given: Given,
    pub refusals: Vec<ApiError>,
    pub links: Vec<Link>,
    /// The published client is told that this one's answers have no body, so no answer of it may describe one.
    pub describes_no_body: bool,
}

impl Operation {
    pub fn new(method: &'static str, path: &'static str, id: &'static str, words: &'static str) -> Self {
        Self {
            method,
            path,
            id,
            tag: "auth",
            words,
            description: None,
            security: Security::Optional,
            taken: None,
            status: StatusCode::OK,
            given: Given::Nothing,
            refusals: vec![
                ApiError::MethodNotAllowed(if method == "delete" { "GET" } else { "DELETE" }.to_owned()),
                ApiError::NotAcceptable,
                ApiError::Internal(String::new()),
                ApiError::Unavailable {
                    retry_after_seconds: 2,
                    cause: String::new(),
                },
            ],
            links: Vec::new(),
            describes_no_body: false,
        }
    }

    pub fn post(path: &'static str, id: &'static str, words: &'static str) -> Self {
        Self::new("post", path, id, words).reads_a_body()
    }

    pub fn about(self, description: &'static str) -> Self {
        Self {
            description: Some(description),
            ..self
        }
    }

    pub fn tagged(self, tag: &'static str) -> Self {
        Self { tag, ..self }
    }

    pub fn secured(self, security: Security) -> Self {
        Self { security, ..self }
    }

    pub fn private(self) -> Self {
        self.secured(Security::Required).refuses([
            ApiError::unauthenticated(Text::NotAuthenticated, None),
            ApiError::bearer_refused(TokenError::Expired),
        ])
    }

    pub fn takes<T: RequestBody>(self, component: &'static str, example: Value) -> Self {
        let taken = Taken {
            component,
            forms: forms_of::<T>(),
            example,
        };
        Self {
            taken: Some(taken),
            ..self
        }
    }

    /// The contract's document asks for it; without it the answer is a refusal, though no 400.
    pub fn requiring(mut self, name: &str) -> Self {
        let forms = self.taken.iter_mut().flat_map(|taken| &mut taken.forms);
        for form in forms.filter(|form| form.name == name) {
            form.is_required = true;
        }
        self
    }

    pub fn gives(self, given: Given) -> Self {
        Self { given, ..self }
    }

    pub fn gives_detail(self, text: Text) -> Self {
        self.gives(Given::Detail(text))
    }

    pub fn gives_example<T: Example>(
        self,
        component: &'static str,
        optional: &'static [&'static str],
    ) -> Self {
        self.gives(Given::Component {
            name: component,
            example: json!(T::example()),
            optional,
        })
    }

    pub fn without_content(self) -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            ..self
        }
    }

    pub fn describing_no_body(self) -> Self {
        Self {
            describes_no_body: true,
            ..self
        }
    }

    pub fn created(self) -> Self {
        Self {
            status: StatusCode::CREATED,
            ..self
        }
    }

    pub fn refuses(mut self, refusals: impl IntoIterator<Item = ApiError>) -> Self {
        self.refusals.extend(refusals);
        self
    }

    /// Counts against the client's budget (contract section 12).
    pub fn budgeted(self) -> Self {
        self.refuses([ApiError::Throttled { wait_seconds: 60 }])
    }

    pub fn reads_a_body(self) -> Self {
        let reason = "Expecting value: line 1 column 1 (char 0)".to_owned();
        self.refuses([
            ApiError::Malformed(Text::JsonParseError { reason }),
            ApiError::TooLarge,
            ApiError::UnsupportedMediaType("text/plain".to_owned()),
        ])
    }

    pub fn leads_to(mut self, links: impl IntoIterator<Item = Link>) -> Self {
        self.links.extend(links);
        self
    }
}
