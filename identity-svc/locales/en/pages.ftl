# The built-in pages: behind the links of the mails, and for those who have no front end.

language-name = English
language-switch = Language
title-error = Error:
email-label = E-mail address
go-on = Continue

confirm-title = Confirm your e-mail address
confirm-intro = Press the button to confirm that this e-mail address is yours.
confirm-button = Confirm
confirm-done-title = Address confirmed
confirm-done = Thank you. Your e-mail address is confirmed; you can close this page.
confirm-failed-title = This link does not work
confirm-failed = The link is damaged, has expired or was already used. If you have confirmed your address already, all is well.

resend-title = New confirmation e-mail
resend-intro = Enter the address that you have registered with, and we send you a new link.
resend-button = Send the link
resend-sent-title = Look into your mailbox
resend-sent = If this address still has to be confirmed, an e-mail with a link is on its way to it. Look among the spam too.
resend-again = Ask for a new link

ask-title = Forgotten your password?
ask-intro = Enter your e-mail address, and we send you a link with which you can set a new password.
ask-button = Send the link
ask-sent-title = Look into your mailbox
ask-sent = If there is an account with this address, an e-mail with a link is on its way to it. Look among the spam too.
ask-again = Ask for a new link

reset-title = Set a new password
reset-intro = Choose a new password for your account.
reset-new-password = New password
reset-repeat-password = New password, once more
reset-button = Set password
reset-done-title = Password changed
reset-done = Your new password is set. You can now log in with it. All devices were logged out.
reset-failed-title = This link does not work
reset-failed = The link is damaged, has expired or was already used.

rules-title = Your password needs:
rule-length = at least 8 characters
rule-digits = not only digits
rule-common = not one that many people use
rule-similar = not like your name or e-mail address
rule-met = done
rule-open = not yet
passwords-same = The two passwords are the same.
passwords-differ = The two passwords differ.
show-passwords = Show passwords

name-label = Username or e-mail address
password-label = Password

sessions-title = Where you are logged in
sessions-login-intro = Enter your name and password to see on which devices your account is logged in. You can log out there.
sessions-show = Show the devices
sessions-intro = Your account is logged in on these devices. Log out those that you do not know, and then set a new password.
sessions-address = Address:
sessions-last-used = Last used:
sessions-opened = Logged in:
sessions-end = Log out
sessions-end-all = Log out everywhere
sessions-more = There are more. These were used last.
sessions-none = Your account is logged in nowhere.
sessions-change = Set a new password
sessions-ended = That device is logged out.
sessions-all-ended = All devices are logged out.
sessions-gone = That device was logged out already.
sessions-expired = Too much time has passed, or the password was changed. Nothing was done. Enter your name and password again.

problem-title = That did not work
problem = Something went wrong. Nothing was changed.
lost-title = There is no such page
lost = Perhaps the address was not copied in full.
