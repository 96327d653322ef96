# Every sentence of the API. The keys are named in src/domain/texts.rs; English has all of them.
# A key that another language lacks is answered in English.

## Fields of a request

required = This field is required.
blank = This field may not be blank.
null = This field may not be null.
not-a-string = Not a valid string.
nul-byte = Null characters are not allowed.
too-long = Ensure this field has no more than { $max ->
        [one] { $max } character
       *[other] { $max } characters
    }.
bad-email = Enter a valid email address.
not-a-dictionary = Invalid data. Expected a dictionary, but got { $got }.
no-data = No data provided
invalid-value = Invalid value

## Requests as such

method-not-allowed = Method "{ $method }" not allowed.
not-acceptable = Could not satisfy the request Accept header.
unsupported-media-type = Unsupported media type "{ $media-type }" in request.
not-found = Not found.
throttled = Request was throttled. Expected available in { $seconds ->
        [one] { $seconds } second
       *[other] { $seconds } seconds
    }.
json-parse-error = JSON parse error - { $reason }
multipart-parse-error = Multipart form parse error - { $reason }
body-too-large = The request body is too large.
unavailable = The service is temporarily unavailable. Try again later.
internal-error = An unexpected error occurred. Try again later.

## Login and tokens

not-authenticated = Authentication credentials were not provided.
bearer-malformed = Authorization header must contain two space-delimited values
token-not-accepted = Given token not valid for any token type
token-without-user = Token contained no recognizable user identification
user-not-found = User not found
user-inactive = User is inactive
token-invalid = Token is invalid
token-expired = Token is expired
token-without-exp = Token has no 'exp' claim
token-without-id = Token has no id
token-without-type = Token has no type
token-of-wrong-type = Token has wrong type
token-blacklisted = Token is blacklisted
login-missing = Must include either "username" or "email" and "password".
login-failed = Unable to log in with provided credentials.
email-not-verified = E-mail is not verified.
logged-out = Successfully logged out.
refresh-not-included = Refresh token was not included in request data.
no-valid-refresh = No valid refresh token found.
no-active-account = No active account found for the given token.

## Sessions, as their owner sees them

device = { $name }
device-on = { $browser } on { $system }
unknown-device = Unknown device
other-sessions-ended = All other sessions have been ended.

## Registration and addresses

bad-username = Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.
username-taken = A user with that username already exists.
email-taken = User is already registered with this e-mail address.
verification-sent = Verification e-mail sent.
ok = ok

## Passwords. "mismatch" has a curly apostrophe, "mismatch-registration" a straight one.

mismatch-registration = The two password fields didn't match.
mismatch = The two password fields didn’t match.
wrong-old-password = Your old password was entered incorrectly. Please enter it again.
password-changed = New password has been saved.
password-reset-sent = Password reset e-mail has been sent.
password-reset-done = Password has been reset with the new password.
similar-to-username = The password is too similar to the username.
similar-to-first-name = The password is too similar to the first name.
similar-to-last-name = The password is too similar to the last name.
similar-to-email = The password is too similar to the email address.
too-short = This password is too short. It must contain at least { $min ->
        [one] { $min } character
       *[other] { $min } characters
    }.
too-common = This password is too common.
all-numeric = This password is entirely numeric.
