{{/* Names, labels and parts of the pod. Only what more than one template needs, or what would hide the pod's shape. */}}

{{/* A number or a boolean as people wrote it. Numbers from files are floats, which would come out as 2.0240101e+07. */}}
{{- define "sluice-gateway.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}{{ int64 . }}{{- else -}}{{ toString . }}{{- end -}}
{{- end }}

{{/* Labels and annotations are text, whatever they look like. Nothing for an empty map. */}}
{{- define "sluice-gateway.texts" -}}
{{- range $key, $value := . }}
{{ $key | quote }}: {{ include "sluice-gateway.text" $value | quote }}
{{- end }}
{{- end }}

{{- define "sluice-gateway.name" -}}
{{- .Values.name | default .Release.Name -}}
{{- end }}

{{/* What Gateways select by: release `istio-ingressgateway` gives `istio: ingressgateway`. Never changes on upgrade. */}}
{{- define "sluice-gateway.selectorLabels" -}}
{{- $name := include "sluice-gateway.name" . -}}
app: {{ .Values.labels.app | default $name | include "sluice-gateway.text" | quote }}
istio: {{ .Values.labels.istio | default (trimPrefix "istio-" $name) | include "sluice-gateway.text" | quote }}
{{- end }}

{{/* Merged as maps: a label that is given twice would be refused by the API server. */}}
{{- define "sluice-gateway.labels" -}}
{{- $labels := dict
  "app.kubernetes.io/name" (include "sluice-gateway.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" "sluice"
  "app.kubernetes.io/component" "gateway"
  "app.kubernetes.io/version" .Chart.AppVersion
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
-}}
{{- range $key, $value := .Values.labels }}
{{- $_ := set $labels $key (include "sluice-gateway.text" $value) }}
{{- end }}
{{- toYaml (mergeOverwrite $labels (include "sluice-gateway.selectorLabels" . | fromYaml)) }}
{{- end }}

{{/* The version is left out: pods must not roll because of a label, and selectors of users do not name it. */}}
{{- define "sluice-gateway.podLabels" -}}
{{- $name := include "sluice-gateway.name" . -}}
{{- $labels := dict
  "service.istio.io/canonical-name" $name
  "service.istio.io/canonical-revision" "latest"
-}}
{{- $_ := mergeOverwrite $labels (omit (include "sluice-gateway.labels" . | fromYaml) "helm.sh/chart" "app.kubernetes.io/version") }}
{{- /* Istio, if it is there, must not put a proxy of its own into this pod, nor take its traffic. */ -}}
{{- $_ := set $labels "sidecar.istio.io/inject" "false" }}
{{- $_ := set $labels "istio.io/dataplane-mode" "none" }}
{{- with .Values.revision }}{{ $_ := set $labels "istio.io/rev" . }}{{ end }}
{{- with .Values.networkGateway }}{{ $_ := set $labels "topology.istio.io/network" . }}{{ end }}
{{- toYaml $labels }}
{{- end }}

{{/* The two annotations of values for Istio's chart that ask its injector for a proxy have no place here. */}}
{{- define "sluice-gateway.podAnnotations" -}}
{{- omit .Values.podAnnotations "inject.istio.io/templates" "sidecar.istio.io/inject" | include "sluice-gateway.texts" | trim -}}
{{- end }}

{{- define "sluice-gateway.annotations" -}}
{{- include "sluice-gateway.texts" .Values.annotations | trim -}}
{{- end }}

{{- define "sluice-gateway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "sluice-gateway.name" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end }}

{{- define "sluice-gateway.image" -}}
{{- $hub := .Values.image.hub | default .Values.global.hub -}}
{{- $name := empty $hub | ternary .Values.image.name (printf "%s/%s" (trimSuffix "/" $hub) .Values.image.name) -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.Values.image.tag | default .Values.global.tag | default .Chart.AppVersion | include "sluice-gateway.text") -}}
{{- end -}}
{{- end }}

{{- define "sluice-gateway.imagePullSecrets" -}}
{{- $names := list -}}
{{- range concat .Values.global.imagePullSecrets .Values.imagePullSecrets }}
{{- $names = append $names (kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") .) }}
{{- end }}
{{- range uniq $names }}
- name: {{ . }}
{{- end }}
{{- end }}

{{- define "sluice-gateway.controllerNamespace" -}}
{{- .Values.controller.namespace | default .Values.global.istioNamespace | default "istio-system" -}}
{{- end }}

{{- define "sluice-gateway.controllerAddress" -}}
{{- .Values.controller.address | default (printf "%s.%s.svc:15012" .Values.controller.name (include "sluice-gateway.controllerNamespace" .)) -}}
{{- end }}

{{- define "sluice-gateway.openshift" -}}
{{- if eq "openshift" (.Values.platform | default .Values.global.platform | default "") }}yes{{ end }}
{{- end }}

{{/* Ports as the Service has them: [{name, port, protocol, targetPort, …}] */}}
{{- define "sluice-gateway.ports" -}}
{{- $ports := list -}}
{{- if .Values.networkGateway }}
{{- range $name, $port := dict "status-port" 15021 "tls" 15443 "tls-istiod" 15012 "tls-webhook" 15017 }}
{{- $ports = append $ports (dict "name" $name "port" $port "protocol" "TCP" "targetPort" $port) }}
{{- end }}
{{- else }}
{{- range .Values.service.ports }}
{{- $target := .targetPort | default .port }}
{{- /* Helm reads numbers as floats when they come from files. */ -}}
{{- if and $.Values.unprivilegedTargetPorts (not (kindIs "string" $target)) }}
{{- if lt (int $target) 1024 }}{{ $target = add 8000 (int $target) }}{{ end }}
{{- end }}
{{- $ports = append $ports (merge (dict "targetPort" $target "protocol" (.protocol | default "TCP")) .) }}
{{- end }}
{{- end }}
{{- toYaml $ports }}
{{- end }}

{{/* The container's environment: the chart's entries, then the user's; a name stands once, and the user's wins. */}}
{{- define "sluice-gateway.env" -}}
{{- $taken := keys .Values.env -}}
{{- range .Values.envVarFrom }}{{ $taken = append $taken .name }}{{ end }}
{{- $entries := list
  (dict "name" "SLUICE_DISCOVERY_ADDRESS" "value" (include "sluice-gateway.controllerAddress" .))
  (dict "name" "SLUICE_ROOT_CERT" "value" "/var/run/secrets/istio/root-cert.pem")
  (dict "name" "SLUICE_TOKEN" "value" "/var/run/secrets/tokens/istio-token")
  (dict "name" "SLUICE_SNAPSHOT_DIR" "value" "/var/lib/sluice")
  (dict "name" "SLUICE_CLUSTER_ID" "value" ((.Values.global.multiCluster).clusterName | default "Kubernetes"))
  (dict "name" "SLUICE_LOG" "value" .Values.log.level)
  (dict "name" "SLUICE_LOG_FORMAT" "value" .Values.log.format)
-}}
{{- with .Values.controller.caAddress }}
{{- $entries = append $entries (dict "name" "SLUICE_CA_ADDRESS" "value" .) }}
{{- end }}
{{- if not (kindIs "invalid" .Values.threads) }}
{{- $entries = append $entries (dict "name" "SLUICE_THREADS" "value" (.Values.threads | int | toString)) }}
{{- else if ((.Values.resources).limits).cpu }}
{{- $limit := dict "containerName" "istio-proxy" "resource" "limits.cpu" "divisor" "1" }}
{{- $entries = append $entries (dict "name" "SLUICE_THREADS" "valueFrom" (dict "resourceFieldRef" $limit)) }}
{{- end }}
{{- with .Values.limits }}
{{- $settings := list }}
{{- range $name, $value := . }}{{ $settings = append $settings (printf "%s=%s" $name (include "sluice-gateway.text" $value)) }}{{ end }}
{{- $entries = append $entries (dict "name" "SLUICE_LIMITS" "value" (join "," $settings)) }}
{{- end }}
{{- range $name, $path := dict
  "POD_NAME" "metadata.name"
  "POD_NAMESPACE" "metadata.namespace"
  "SERVICE_ACCOUNT" "spec.serviceAccountName"
  "NODE_NAME" "spec.nodeName"
  "INSTANCE_IP" "status.podIP"
}}
{{- $entries = append $entries (dict "name" $name "valueFrom" (dict "fieldRef" (dict "apiVersion" "v1" "fieldPath" $path))) }}
{{- end }}
{{- with .Values.networkGateway }}
{{- $entries = append $entries (dict "name" "ISTIO_META_REQUESTED_NETWORK_VIEW" "value" .) }}
{{- end }}
{{- range $entries }}
{{- if not (has .name $taken) }}
- {{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- range .Values.envVarFrom }}
- {{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- $from := list }}{{ range .Values.envVarFrom }}{{ $from = append $from .name }}{{ end }}
{{- range $name, $value := .Values.env }}
{{- if not (has $name $from) }}
- name: {{ $name | quote }}
  value: {{ include "sluice-gateway.text" $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Without one of the user's: pods over nodes and zones, as far as there are any. */}}
{{- define "sluice-gateway.topologySpreadConstraints" -}}
{{- if kindIs "invalid" .Values.topologySpreadConstraints }}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "sluice-gateway.selectorLabels" $ | nindent 6 }}
{{- end }}
{{- else }}
{{- with .Values.topologySpreadConstraints }}{{ toYaml . }}{{ end }}
{{- end }}
{{- end }}

{{/* Mistakes that a schema cannot see. */}}
{{- define "sluice-gateway.check" -}}
{{- if .Values.defaults }}
{{- fail "gateway: values stand at the top level: replace `defaults.X` by `X`" }}
{{- end }}
{{- if and .Values.podDisruptionBudget.minAvailable .Values.podDisruptionBudget.maxUnavailable }}
{{- fail "gateway: podDisruptionBudget takes minAvailable or maxUnavailable, not both" }}
{{- end }}
{{- if and .Values.autoscaling.enabled (eq .Values.kind "Deployment") (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}
{{- fail "gateway: autoscaling.minReplicas is greater than autoscaling.maxReplicas" }}
{{- end }}
{{- if gt (len (include "sluice-gateway.name" .)) 63 }}
{{- fail "gateway: the name (values.name or the release name) is a label value and may have 63 characters" }}
{{- end }}
{{- end }}
