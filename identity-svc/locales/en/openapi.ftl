# The OpenAPI document and the page that shows it. Summaries of the ten endpoints are the contract's in Russian.

api-about = Accounts, sessions and tokens, compatible with dj-rest-auth. Bodies are JSON, form or multipart; answers are JSON, in the language of Accept-Language (en, ru). An access token goes into the Authorization header, after "Bearer" and a space.

api-tag-auth = Sign in and out, passwords, registration, tokens
api-tag-user = The account
api-tag-sessions = The account's sessions

api-login = Log in
api-logout = Log out
api-password-change = Change the password
api-password-reset = Ask for a password reset
api-password-reset-confirm = Confirm a password reset
api-registration = Register
api-resend-email = Send the verification e-mail again
api-verify-email = Verify an e-mail address
api-token-refresh = Refresh a JWT
api-token-verify = Verify a JWT
api-user = Show the account
api-user-update = Replace the account's names
api-user-partial-update = Change some of the account's names
api-sessions = List the sessions
api-sessions-about = The live sessions of the account, the one that asks first, then by last use.
api-sessions-delete = End a session
api-sessions-delete-about = Its refresh token ends at once, its access tokens as after a logout. The session that asks may be ended too.
api-sessions-revoke-others = End all other sessions
api-sessions-revoke-others-about = All sessions of the account end but the one that asks.

api-link-RefreshToken = The refresh token of this answer gives a new access token.
api-link-VerifyToken = Either token of this answer, as "token".
api-link-Logout = The access token of this answer in the header, or its refresh token in the body, ends the session.
api-link-SetNewPassword = "uid" and "token" come by e-mail.
api-link-VerifyEmail = "key" comes by e-mail.
api-link-EndSession = The "id" of a session in this list.

api-status-200 = Done.
api-status-201 = Created.
api-status-204 = Done, without a body.
api-status-400 = The body cannot be read, or fields are wrong: texts for each field.
api-status-401 = A token is missing or refused.
api-status-404 = There is no such thing.
api-status-405 = Another method is needed: see Allow.
api-status-406 = The client takes no JSON.
api-status-413 = The body is too large.
api-status-415 = The body is neither JSON nor form nor multipart.
api-status-429 = Too many requests: wait for Retry-After seconds.
api-status-500 = A fault of the server.
api-status-503 = Something that is needed is away or overloaded: wait for Retry-After seconds.

docs-title = API
docs-schema = OpenAPI document
docs-token = Access token
docs-token-hint = Goes with every request sent from this page; a good login fills it in. It is forgotten with the page.
docs-private = Needs an access token.
docs-fields = Fields
docs-required = required
docs-at-most = length up to
docs-answers = Answers
docs-headers = Headers:
docs-try = Try it
docs-format = Format
docs-send = Send
docs-no-answer = No answer: the server cannot be reached.
docs-no-body = (no body)
