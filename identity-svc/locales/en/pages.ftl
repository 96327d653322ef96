# The built-in pages behind the links of the mails.

confirm-title = Confirm your e-mail address
confirm-intro = Press the button to confirm that this e-mail address is yours.
confirm-button = Confirm
confirm-done-title = Address confirmed
confirm-done = Thank you. Your e-mail address is confirmed; you can close this page.
confirm-failed-title = This link does not work
confirm-failed = The link is damaged, has expired or was already used. Ask for a new confirmation e-mail.

reset-title = Set a new password
reset-intro = Choose a new password for your account.
reset-new-password = New password
reset-repeat-password = New password, once more
reset-button = Set password
reset-done-title = Password changed
reset-done = Your new password is set. You can now log in with it.
reset-failed-title = This link does not work
reset-failed = The link is damaged, has expired or was already used. Ask for a new password reset e-mail.
reset-rules = At least 8 characters, not only digits, not a common password, and not like your name or e-mail address.
