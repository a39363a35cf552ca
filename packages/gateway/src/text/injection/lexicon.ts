/**
 * What words do in an instruction to a model, in the languages that attacks are written in. A word of another language is
 * the same concept, so what is learnt of one language holds for the others. The order fixes the features of the weights:
 * a change here needs `npm run train:injection`.
 */
export const CONCEPTS = {
  override:
    'ignore disregard forget override bypass neglect overlook dismiss nullify supersede discard overrule circumvent ignoring disregarding ' +
    'ignoriere ignorieren ignorier missachte missachten vergiss vergessen ubergehe uberschreibe umgehe verwerfe ' +
    'ignorez ignorer oublie oubliez oublier neglige negligez contourne contournez outrepasse ' +
    'ignora ignorar olvida olvide olvidar omite descarta descarte ignori ignorare dimentica dimenticare scorda tralascia ' +
    'esqueca esquece desconsidere desconsiderar игнорируй игнорируйте проигнорируй игнорировать забудь забудьте отбрось пренебреги ' +
    'negeer vergeet zignoruj zapomnij ignoruj تجاهل انس تجاهلوا अनदेखी अनदेखा yoksay unut abaikan',
  prior:
    'previous prior above earlier preceding foregoing former original initial existing past before previously ' +
    'vorherigen vorherige bisherigen bisherige fruheren obigen vorangegangenen vorigen precedentes precedents precedent anterieures anterieure dessus initiales ' +
    'anteriores anterior previas previa previos iniciales precedenti precedente предыдущие предыдущих предыдущую прежние прежних прошлые вышеуказанные выше ранее ' +
    'vorige eerdere poprzednie السابقة السابق पिछले पिछली onceki sebelumnya',
  all: 'all any every everything entire whole each complete full alle alles samtliche toutes tous tout todas todos todo tutte tutti tutto все всё всю wszystkie كل सभी tum semua',
  instruction:
    'instruction instructions prompt prompts directive directives guideline guidelines rule rules orders programming training constraint constraints restriction restrictions safeguards safeguard protocol protocols policies task tasks ' +
    'anweisung anweisungen regeln vorgaben aufforderung instruktionen richtlinien befehle aufgabe consigne consignes regles ' +
    'instrucciones instruccion reglas ordenes indicaciones directrices tarea istruzioni istruzione regole instrucoes instrucao regras ' +
    'инструкции инструкций инструкцию правила указания указаниям команды задача instructies polecenia instrukcje التعليمات الأوامر निर्देशों निर्देश talimatlari instruksi',
  told: 'told said instructed asked given',
  assistant:
    'assistant agent ai llm model chatbot bot claude gpt chatgpt gemini copilot cursor llama mistral gpt4 agents models assistants assistenten assistent ki agenten ia modele modelo modello agente asistente assistente ассистент модель ии агент нейросеть chatbots',
  you: 'you your yourself yours youre du dein deine deinen dir sie ihre ihren vous votre vos tu tes tus su ты вы твои свои ваши tuo tuoi voce seu suas sua',
  user: 'user users users customer client human operator owner victim employee benutzer nutzer anwender benutzern utilisateur lutilisateur utilisateurs usuario usuarios utente lutente utenti пользователь пользователю пользователя kullanici pengguna المستخدم उपयोगकर्ता',
  negation:
    "not never don't dont doesn't without no cannot nor nicht niemals nie kein keine ohne nichts pas jamais sans ne nunca sin jamas non senza mai nao sem не никогда без لا niet zonder",
  tell: 'tell mention inform notify reveal disclose show alert warn acknowledge discuss explain announce mentioning informing telling notifying alerting know sage sagen erwahne erwahnen informiere informieren mitteilen zeige mentionne mentionner mentionnez informez informe ninforme informer dites revele mencione menciones informes digas diga revele informare dire menzionare rivelare сообщай говори упоминай сообщать сообщайте раскрывай',
  secretly:
    'secretly silently quietly covertly discreetly invisibly stealthily surreptitiously undetected unnoticed hidden stealth heimlich unbemerkt stillschweigend discretement silencieusement secretement silenciosamente discretamente sigilosamente secretamente silenziosamente segretamente тайно незаметно скрытно втайне',
  ask: 'ask asking confirm confirmation consent approval permission verification nachfragen bestatigung ruckfrage demander preguntar confirmar confirmacion chiedere conferma спрашивая подтверждения',
  send: 'send forward upload post transmit email submit deliver relay mail sende senden schicke schicken leite weiterleiten ubermittle lade envoie envoyez envoyer transmets transmettez transferez envia envie enviar manda reenvia reenvie invia inviare inoltra отправь отправьте отправить перешли перешлите пошли загрузи stuur verzend wyslij أرسل وأرسل भेजें gonder kirim',
  sends:
    'sends sent forwards forwarded uploads uploaded posts transmits sending forwarding uploading posting',
  leak: 'exfiltrate leak exfiltrates exfiltrating exfil exfiltration exfiltrated smuggle steal stealing steals stolen harvest harvesting harvests siphon',
  move: 'transfer wire pay buy purchase sell deposit withdraw donate uberweise uberweisen transferiere transfere vire virez transfiere transfiera paga trasferisci bonifica transfira pague переведи переведите оплати',
  money:
    'money payment transaction funds bitcoin btc eth wallet account iban balance dollars usd eur bank recurring geld konto argent compte dinero cuenta denaro conto dinheiro conta деньги счет счёт',
  read: 'read open fetch retrieve extract collect gather cat access obtain locate lies lesen lis lisez lire lee lea leer leggi leia прочитай прочти открой',
  reads:
    'reads returns fetches retrieves reading searches lists gets creates adds looks runs converts translates',
  put: 'include append embed add insert attach pass provide concatenate encode put paste place store write fuge einfugen anhangen ubergib ajoute ajoutez passe anade agrega incluye incluya pasa aggiungi inclua добавь вставь включи передай',
  copy: 'copy bcc cc duplicate mirror record kopiere copie copia скопируй',
  secret:
    'password passwords secret secrets token tokens credential credentials passphrase cookie cookies keychain keyring mnemonic passwd shadow apikey apikeys private pin otp passwort passworter kennwort zugangsdaten schlussel geheimnisse passe cles identifiants contrasena contrasenas claves credenciales senha senhas segreti credenziali chiavi пароль пароли ключи ключ секреты токен wachtwoorden hasla पासवर्ड',
  key: 'key keys api ssh rsa pem id ed25519',
  env: 'env environment dotenv variables aws kube kubeconfig netrc npmrc bashrc etc',
  chat: 'conversation chat history messages transcript context session memory conversations verlauf gesprach unterhaltung conversacion historial historique cronologia conversazione историю переписку разговор диалог',
  data: 'data contents content file files documents document inbox emails database information contacts records invoices message dateien datei inhalt daten fichier fichiers contenu donnees archivos archivo datos contenido dati contenuti arquivos dados файлы файл данные содержимое',
  url: 'url link website endpoint webhook server site webseite lien enlace sitio sito ссылка ссылке сайт',
  attacker: 'attacker attackers external remote evil malicious adversary hacker rogue unauthorized',
  urgent:
    'important importante critical urgent attention mandatory notice warning required priority urgently immediately immediate emergency wichtig dringend achtung sofort notwendig urgence immediatement obligatoire urgente inmediatamente obligatorio atencion immediatamente attenzione importanti imediatamente важно срочно внимание немедленно обязательно belangrijk wazne',
  must: 'must always should shall ensure strictly have has need needs requires sure muss mussen musst immer sollst unbedingt devez doit dois toujours devi deve sempre debes debe siempre должен должна должны всегда обязан',
  tool: 'tool tools function functions plugin mcp werkzeug outil outils herramienta herramientas strumento strumenti ferramenta инструмент инструмента инструменты',
  use: 'use call invoke run execute using calling invoking running executing used called uses calls invokes benutze verwende nutze rufe aufruf ausfuhren verwendest aufrufst utilise utilisez dutiliser appelle executez appelez usa usar ejecuta ejecute llama llamar utiliza usare esegui utilizzare chiama используй используйте вызови выполни запусти выполните использованием использовать',
  first:
    'first whenever anytime everytime beforehand ahead subsequent subsequently henceforth onwards zuerst bevor jedes jeder jedem abord avant chaque desormais primero antes cada prima ogni primeiro сначала прежде перед каждый отныне',
  time: 'now then from on next following after when once begin start end until during jetzt nun ab maintenant ahora adesso agora теперь сейчас',
  other:
    'other others another different rest anderen andere autres autre otras otros otra altri altre outras другие других другими другой',
  instead: 'instead rather stattdessen plutot lugar invece вместо',
  new: 'new updated real actual true revised neue neuen nouvelle nouvelles nuevas nueva nuevo nuove nuovo novas новые новая новую',
  prefer:
    'prefer prioritize prioritise preferred favor favour exclusively choose select bevorzuge prefere privilegie prefiere предпочитай',
  best: 'best superior better fastest greatest ultimate finest perfect unbeatable powerful reliable beste meilleur mejor migliore melhor лучший',
  world: 'world ever market universe planet',
  deprecated:
    'deprecated obsolete outdated broken replaced unsafe insecure unreliable untrusted inferior veraltet obsoleto устарел',
  say: 'say reply respond answer output print repeat state generate return saying responding antworte antwortest schreibe reponds repondez repondre dis responde responda responder di rispondi ответь скажи напиши выведи повтори',
  response:
    'response answers reply replies responses summary antwort reponse respuesta risposta resposta ответ ответе ответом',
  pretend:
    'pretend act roleplay imagine simulate persona become behave impersonate adopt agis fingi actua comportati представь притворись',
  jailbreak: 'jailbreak dan unrestricted uncensored unfiltered jailbroken unlimited limitless lawless amoral',
  mode: 'mode maintenance debug developer sudo god admin root privileged audit diagnostic modus modo entwicklermodus режим',
  system: 'system sys systemprompt kernel sistema systeme система системный системное',
  authority:
    'administrator openai anthropic google microsoft creator developers official authorized authorise authorize compliance security policy moderator police officer boss ceo manager entwickler administrateur administrador amministratore администратор разработчик',
  regardless:
    'regardless whatever irrespective notwithstanding despite unabhangig independamment independientemente независимо',
  follow:
    'follow obey adhere comply listen perform proceed carry folge befolge befolgen suivez suis obeis sigue sigas siga obedece segui obbedisci выполняй следуй подчиняйся следуйте',
  destroy:
    'delete remove drop erase wipe destroy purge kill shutdown disable deactivate revoke truncate uninstall losche loschen supprime supprimez borra borre elimina elimine cancella apague удали удалите сотри отключи',
  change:
    'change modify reset update set alter replace switch edit grant unlock rename andere setze changez modifie cambia cambie modifica altere измени смени поменяй',
  act: 'invite book reserve schedule create visit order subscribe unsubscribe click share download install approve merge publish make rent cancel recommend praise turn besuche klicke visitez cliquez visita acceda visite посети перейди нажми скачай установи купи',
  where: 'to at into onto an zu nach vers al на',
  please: 'please kindly just simply also and bitte veuillez merci favor per пожалуйста und et y e и',
  condition: 'if unless wenn falls si sinon se если иначе',
  fail: 'fail fails failure error otherwise terminated penalty consequences harm broken crash denied lose scheitern erreur fallo ошибка',
  shell: 'curl wget bash sh chmod rm nc netcat eval powershell python exec terminal shell',
  base64: 'base64 hex encoded rot13 decode decoded',
  sidenote: 'sidenote notes metadata parameter argument param field arguments parameters footnote args',
  pretext:
    'purposes debugging logging verification telemetry optimization troubleshooting synchronization authentication integrity performance analytics quality',
  fill: 'underspecified fill details missing unspecified unclear decide',
  possible: 'possible much many',
  name_of: 'name version identity identifier',
  todo: 'todo fixme',
  // What only a tool's definition announces.
  offense:
    'exploit exploits exploitation exploiting malware ransomware ransom backdoor trojan rootkit keylogger keylog keystrokes keystroke payload payloads shellcode botnet bots phishing phish spoof spoofing hijack hijacking bruteforce brute crack cracking sniff sniffing poisoning poison tamper tampering evade evasion evasive weaponize weaponized compromised vulnerable vulnerability attack attacks injection inject injects hide hides obfuscate obfuscated persistence persist escalate escalation pivot lateral implant beacon beaconing c2 dump dumps dumping theft abuse smuggling deface ddos flood cryptominer miner privesc cmdi cred creds recon webshell mimikatz kerberoast kerberoasting kerberos dcsync ntlm lsass sam bypasses antivirus edr amsi uac suid setuid ptrace rce lfi xss sqli csrf ssti toctou deserialization zeroday spyware adware worm dropper stager loader hooking hook unhook masquerade timestomp covert wiper sabotage extort blackmail eavesdrop intercept mitm evilginx stealer grabber grab skimmer enumerate enumeration fingerprint sweep footprint dork bomb exhaust syscall dll malicious relay forge forged crack victims targets target',
  privilege:
    'privilege privileges superuser elevated elevation hypervisor capabilities sandbox registry hashes bootkit',
} as const

export type Concept = keyof typeof CONCEPTS

/** Phrases of scripts that do not part words; matched longest first. */
export const PHRASES: Readonly<Partial<Record<Concept, string>>> = {
  override: '忽略 无视 無視 忘记 忘掉 不要理会 不理会 绕过 忽視 忘れて 従わない 무시 잊어 잊고',
  prior: '之前 以前 先前 上述 前面 以上 此前 先の これまで 上記 前の 이전 앞의 위의 기존',
  all: '所有 全部 一切 任何 すべて 全て あらゆる 모든 전부',
  instruction: '指令 指示 提示词 规则 命令 约束 限制 系统提示 ルール プロンプト 지시 지침 명령 규칙 프롬프트',
  assistant:
    '助手 助理 模型 人工智能 智能体 アシスタント モデル エージェント 어시스턴트 모델 에이전트 인공지능',
  you: '你 您 你的 您的 あなた 당신 너',
  user: '用户 使用者 客户 ユーザー 利用者 사용자 유저',
  negation: '不要 不得 切勿 请勿 禁止 别 しないで ないで せずに ずに 하지 말고 않고 마세요 지마 없이',
  tell: '告诉 告知 透露 提及 通知 知らせ 伝え 教え 言及 알리 말하 언급',
  secretly: '秘密 悄悄 偷偷 暗中 静默 密かに こっそり 黙って 몰래 비밀리에 조용히',
  ask: '询问 确认 確認 許可 확인 허락',
  send: '发送 发给 上传 转发 传送 送信 転送 アップロード 送って 보내 전송 업로드 전달',
  move: '转账 汇款 支付 振り込 送金 송금 이체',
  read: '读取 打开 获取 読み取 読んで 読み込 開いて 읽어 읽고 열어',
  secret: '密码 密钥 口令 凭证 令牌 私钥 パスワード 秘密鍵 認証情報 トークン 비밀번호 암호 개인키',
  chat: '对话 聊天记录 历史记录 会话 会話 履歴 チャット 대화 기록',
  data: '文件 内容 数据 资料 ファイル データ 파일 내용 데이터',
  urgent: '重要 紧急 注意 立即 马上 緊急 直ちに すぐに 중요 긴급 즉시',
  must: '必须 务必 一定 总是 必ず 常に しなければ 반드시 항상 해야',
  tool: '工具 函数 插件 ツール 関数 도구 함수',
  use: '使用 调用 执行 运行 実行 呼び出 使う 使って 사용 실행 호출',
  first: '首先 从现在 今后 每次 まず 今後 これから 前に 먼저 앞으로 이제부터 하기전',
  instead: '而是 改为 代わりに 대신',
  new: '新的 新しい 새로운',
  say: '回答 回复 输出 答复 答えて 返答 出力 대답 출력 답변',
  pretend: '假装 扮演 ふりを なりきって 척 역할',
  system: '系统 システム 시스템',
  mode: '模式 モード 모드',
  follow: '遵循 遵守 服从 听从 従って 따라 따르',
  destroy: '删除 清除 销毁 削除 消去 삭제',
  please: '请 제발',
}

/** What is seen of a text besides its words. */
export const EXTRA = [
  'link_seen',
  'mail_seen',
  'mark',
  'comment',
  'heading',
  'role_mark',
  'home_path',
  'caps_urgent',
  'number_long',
  'decoded',
  'code_fence',
] as const
