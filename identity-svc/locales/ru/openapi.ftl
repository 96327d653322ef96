# Документ OpenAPI и страница, которая его показывает. Названия десяти операций взяты из договора.

api-about = Учётные записи, сеансы и токены, совместимо с dj-rest-auth. Тело запроса: JSON, форма или multipart; ответы в JSON, на языке из Accept-Language (en, ru). Токен доступа передаётся в заголовке Authorization после слова "Bearer" и пробела.

api-tag-auth = Вход и выход, пароли, регистрация, токены
api-tag-user = Учётная запись
api-tag-sessions = Сеансы учётной записи

api-login = Авторизация пользователя
api-logout = Выход
api-password-change = Смена пароля
api-password-reset = Запрос на сброс пароля
api-password-reset-confirm = Подтверждение сброса пароля
api-registration = Регистрация пользователя
api-resend-email = Повторная отправка e-mail
api-verify-email = Подтверждение e-mail
api-token-refresh = Обновить JWT токен
api-token-verify = Валидировать JWT токен
api-user = Показать учётную запись
api-user-update = Заменить имена учётной записи
api-user-partial-update = Изменить некоторые из имён учётной записи
api-sessions = Список сеансов
api-sessions-about = Действующие сеансы учётной записи: сначала тот, из которого пришёл запрос, затем по времени последнего использования.
api-sessions-delete = Завершить сеанс
api-sessions-delete-about = Его токен обновления перестаёт действовать сразу, токены доступа — как после выхода. Можно завершить и сеанс, из которого пришёл запрос.
api-sessions-revoke-others = Завершить остальные сеансы
api-sessions-revoke-others-about = Завершаются все сеансы учётной записи, кроме того, из которого пришёл запрос.

api-link-RefreshToken = По токену обновления из этого ответа выдаётся новый токен доступа.
api-link-VerifyToken = Любой токен из этого ответа, в поле "token".
api-link-Logout = Токен доступа из этого ответа в заголовке или токен обновления в теле завершает сеанс.
api-link-SetNewPassword = "uid" и "token" приходят в письме.
api-link-VerifyEmail = "key" приходит в письме.
api-link-EndSession = "id" сеанса из этого списка.

api-status-200 = Выполнено.
api-status-201 = Создано.
api-status-204 = Выполнено, ответ без тела.
api-status-400 = Тело не читается или поля неверны: тексты для каждого поля.
api-status-401 = Токена нет или он не принят.
api-status-404 = Ничего такого нет.
api-status-405 = Нужен другой метод: см. Allow.
api-status-406 = Клиент не принимает JSON.
api-status-413 = Тело слишком велико.
api-status-415 = Тело не JSON, не форма и не multipart.
api-status-429 = Слишком много запросов: подождите столько секунд, сколько указано в Retry-After.
api-status-500 = Ошибка сервера.
api-status-503 = Нужная служба недоступна или перегружена: подождите столько секунд, сколько указано в Retry-After.

docs-title = API
docs-schema = Документ OpenAPI
docs-token = Токен доступа
docs-token-hint = Отправляется с каждым запросом с этой страницы; удачный вход заполняет поле сам. Вместе со страницей забывается.
docs-private = Нужен токен доступа.
docs-fields = Поля
docs-required = обязательное
docs-at-most = длина до
docs-answers = Ответы
docs-headers = Заголовки:
docs-try = Попробовать
docs-format = Формат
docs-send = Отправить
docs-no-answer = Ответа нет: сервер недоступен.
docs-no-body = (без тела)
